import { expect, test } from "bun:test";
import { explainBle } from "../../../../connectors/ble/explain.ts";
import { readBleConfig } from "../../../support/ble-connector.ts";

test("explainBle() names the place in the file, also behind an entry that is left out", () => {
  const { config } = readBleConfig({
    devices: [
      { name: "no address" },
      {
        name: "Pump",
        MACAddress: "A4:C1:38:0B:5E:77",
        telemetry: [
          { key: "bad", method: "read", characteristicUUID: "battery", valueExpression: "[0]" },
          { key: "level", method: "read", characteristicUUID: "2A19", valueExpression: "[0]" },
        ],
      },
    ],
  });
  expect(explainBle(config).map(({ path }) => path)).toEqual(["devices[1].telemetry[1]"]);
});
