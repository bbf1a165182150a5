import { describe, expect, test } from "bun:test";
import { upgradeConfig } from "../../../../connectors/modbus/legacy.ts";

const ON_CHANGE = { type: "ON_CHANGE" };

describe("sendDataOnlyOnChange", () => {
  test("of a device stands for ON_CHANGE, unless the device has a strategy", () => {
    const slaves = [
      { deviceName: "a", sendDataOnlyOnChange: true },
      { deviceName: "b", sendDataOnlyOnChange: true, reportStrategy: { type: "ON_RECEIVED" } },
      { deviceName: "c", sendDataOnlyOnChange: false },
    ];
    expect(upgradeConfig({ master: { slaves } })).toMatchObject({
      master: {
        slaves: [
          { deviceName: "a", reportStrategy: ON_CHANGE },
          { deviceName: "b", reportStrategy: { type: "ON_RECEIVED" } },
          slaves[2],
        ],
      },
    });
  });

  test("of a device in the old form with one server does so too", () => {
    const devices = [{ deviceName: "a", unitId: 1, sendDataOnlyOnChange: true }];
    expect(upgradeConfig({ server: { host: "h", devices } })).toMatchObject({
      master: { slaves: [{ deviceName: "a", reportStrategy: ON_CHANGE }] },
    });
  });
});
