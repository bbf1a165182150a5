import { epochMs, Float } from "tbgw/sdk";
import { expectEqual, expectError, test, uplink } from "tbgw/testing";
import config from "./uplink-message.json" with { type: "json" };
import converter from "./uplink-message.ts";

const message = (text: string) => ({
  payload: new TextEncoder().encode(text),
  deviceName: "Probe 1",
  address: "/dev/ttyUSB0",
  receivedTs: epochMs(1_700_000_000_000),
});

test("each part of a message is one value", () => {
  const convert = uplink(converter, config);
  expectEqual(convert(message("T=21.5;H=48\n")), [
    {
      deviceName: "Probe 1",
      telemetry: [{ values: { T: new Float(21.5), H: new Float(48) } }],
    },
  ]);
});

test("a part without a number is said", async () => {
  const convert = uplink(converter, config);
  await expectError(() => convert(message("T=warm")), "KEY=NUMBER");
});
