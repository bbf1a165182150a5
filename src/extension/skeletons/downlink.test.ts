import { Float } from "tbgw/sdk";
import { bytes, downlink, expectEqual, expectError, test } from "tbgw/testing";
import config from "./downlink.json" with { type: "json" };
import converter from "./downlink.ts";

const request = { deviceName: "Heater", source: "rpc", name: "setpoint", entry: {} } as const;

test("a number is sent in tenths, high byte first", () => {
  const convert = downlink(converter, config);
  expectEqual(convert({ ...request, value: new Float(21.5) }), bytes("00 d7"));
  expectEqual(convert({ ...request, value: 21 }), bytes("00 d2"));
});

test("what is no number is refused with the name of the value", async () => {
  const convert = downlink(converter, config);
  await expectError(() => convert({ ...request, value: "warm" }), 'Cannot send "setpoint"');
});
