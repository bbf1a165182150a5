import { epochMs, Float, type ModbusRead } from "tbgw/sdk";
import { expectEqual, test, uplink } from "tbgw/testing";
import config from "./uplink-modbus.json" with { type: "json" };
import converter from "./uplink-modbus.ts";

const read: ModbusRead = {
  deviceName: "Boiler",
  unitId: 1,
  byteOrder: "BIG",
  wordOrder: "BIG",
  receivedTs: epochMs(1_700_000_000_000),
  items: [
    { key: "temperature", section: "telemetry", registers: new Uint16Array([215]) },
    { key: "burner", section: "attributes", bits: [true] },
  ],
};

test("a register is sent in tenths, a bit as it is", () => {
  const convert = uplink(converter, config);
  expectEqual(convert(read), [
    {
      deviceName: "Boiler",
      telemetry: [{ values: { temperature: new Float(21.5) } }],
      attributes: { burner: true },
    },
  ]);
});
