import { DataError, type DeviceMessage, defineUplink, Float } from "tbgw/sdk";
import * as v from "valibot";

/** Reads messages of text such as `T=21.5;H=48`: one value a part. */
export default defineUplink({
  name: "SkeletonName",
  type: "skeletontype",
  // The part of the connector's file that names this converter.
  schema: v.looseObject({}),
  create: () => (message: DeviceMessage, onBadPoint) => {
    const text = new TextDecoder().decode(message.payload).trim();
    const values: Record<string, Float> = {};
    for (const part of text.split(";")) {
      const [key = "", number = ""] = part.split("=");
      if (key === "" || number === "" || !Number.isFinite(Number(number))) {
        onBadPoint(new DataError(`Cannot read "${part}": a part is KEY=NUMBER`));
      } else {
        values[key] = new Float(Number(number));
      }
    }
    return Object.keys(values).length === 0
      ? null
      : { deviceName: message.deviceName, telemetry: [{ values }] };
  },
});
