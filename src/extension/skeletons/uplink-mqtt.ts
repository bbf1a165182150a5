import { DataError, defineUplink, Float } from "tbgw/sdk";
import * as v from "valibot";

/**
 * Reads messages of 5 bytes: level in tenths (unsigned, 2 bytes), temperature in hundredths (signed, 2 bytes), battery in per cent.
 * The device is the last level of the topic.
 */
export default defineUplink({
  name: "SkeletonName",
  type: "mqtt",
  // The element of `mapping` that names this converter; `extensionConfig` is yours.
  schema: v.looseObject({
    converter: v.looseObject({
      extensionConfig: v.optional(
        v.looseObject({ profile: v.optional(v.string(), "default") }),
        {},
      ),
    }),
  }),
  create:
    ({ converter: { extensionConfig } }) =>
    ({ payload, topic }) => {
      if (payload.length < 5) {
        throw new DataError(`Cannot read ${payload.length} bytes: a message has 5`);
      }
      const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
      return {
        deviceName: topic.split("/").at(-1) ?? "",
        deviceType: extensionConfig.profile,
        telemetry: [
          {
            values: {
              // Float: a level of exactly 50 must go up as 50.0, or the platform changes the type of the key.
              level: new Float(view.getUint16(0) / 10),
              temperature: new Float(view.getInt16(2) / 100),
            },
          },
        ],
        attributes: { battery: view.getUint8(4) },
      };
    },
});
