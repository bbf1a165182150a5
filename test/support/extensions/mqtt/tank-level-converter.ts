// A binary message of a tank becomes a level, a temperature and the state of the battery.
import { defineUplink, Float } from "tbgw/sdk";
import * as v from "valibot";

export default defineUplink({
  name: "TankLevelConverter",
  type: "mqtt",
  schema: v.looseObject({
    converter: v.looseObject({
      extensionConfig: v.object({ profile: v.optional(v.string(), "Tank") }),
    }),
  }),
  create:
    ({ converter: { extensionConfig } }) =>
    (message) => {
      const { payload, topic, receivedTs } = message;
      const deviceName = topic.split("/").at(-1);
      if (deviceName === undefined || payload.length < 5) return null;
      const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
      return {
        deviceName,
        deviceType: extensionConfig.profile,
        // Float: without it a level of exactly 50 would be sent as `50` and change the key's stored type.
        telemetry: [
          {
            ts: receivedTs,
            values: {
              level: new Float(view.getUint16(0) / 10),
              temperature: new Float(view.getInt16(2) / 100),
            },
          },
        ],
        attributes: { battery: view.getUint8(4) },
      };
    },
});
