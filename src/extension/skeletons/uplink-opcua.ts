import { defineUplink, type Json } from "tbgw/sdk";
import * as v from "valibot";

/** Sends good values, each with the time the server gave it. */
export default defineUplink({
  name: "SkeletonName",
  type: "opcua",
  // The element of `mapping` that names this converter.
  schema: v.looseObject({}),
  create: () => (read) => {
    const good = read.items.filter(({ status }) => status === 0);
    const attributes: Record<string, Json> = {};
    for (const { key, value } of good.filter(({ section }) => section === "attributes")) {
      attributes[key] = value;
    }
    const telemetry = good
      .filter(({ section }) => section === "telemetry")
      .map(({ key, value, sourceTs }) => ({
        ts: sourceTs ?? read.receivedTs,
        values: { [key]: value },
      }));
    return { deviceName: read.deviceName, telemetry, attributes };
  },
});
