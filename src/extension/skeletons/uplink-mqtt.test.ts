import { Float } from "tbgw/sdk";
import { bytes, expectEqual, expectError, mqttMessage, test, uplink } from "tbgw/testing";
import config from "./uplink-mqtt.json" with { type: "json" };
import converter from "./uplink-mqtt.ts";

test("a message of five bytes has three values", () => {
  const convert = uplink(converter, config);
  expectEqual(convert(mqttMessage("tank/T-7", bytes("01f4 08fc 5a"))), [
    {
      deviceName: "T-7",
      deviceType: "Tank",
      telemetry: [{ values: { level: new Float(50), temperature: new Float(23) } }],
      attributes: { battery: 90 },
    },
  ]);
});

test("a message that is too short is refused", async () => {
  const convert = uplink(converter, config);
  await expectError(() => convert(mqttMessage("tank/T-7", bytes("01"))), "a message has 5");
});
