import { epochMs, type OpcUaRead } from "tbgw/sdk";
import { expectEqual, test, uplink } from "tbgw/testing";
import config from "./uplink-opcua.json" with { type: "json" };
import converter from "./uplink-opcua.ts";

const ts = epochMs(1_700_000_000_000);
const read: OpcUaRead = {
  deviceName: "Mixer",
  receivedTs: ts,
  items: [
    { key: "speed", section: "telemetry", nodeId: "ns=2;i=1", value: 900, sourceTs: ts, status: 0 },
    { key: "lost", section: "telemetry", nodeId: "ns=2;i=2", value: 1, status: 0x80310000 },
  ],
};

test("a good value is sent with the time of the server, a bad one is not", () => {
  const convert = uplink(converter, config);
  expectEqual(convert(read), [
    { deviceName: "Mixer", telemetry: [{ ts, values: { speed: 900 } }], attributes: {} },
  ]);
});
