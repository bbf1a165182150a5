import { formatPath } from "#sdk/config";
import { indexInFile } from "#sdk/config-places";
import type { Explanation } from "#sdk/connector";
import { DataError } from "#sdk/errors";
import { type DeviceData, epochMs } from "#sdk/model";
import { fullUuid } from "./addresses.ts";
import type { BleConfig } from "./config.ts";
import type { DeviceConfig } from "./device-config.ts";
import type { ReadItem } from "./item-config.ts";
import { targetText } from "./target.ts";
import { type BoundItem, DeviceUplink } from "./uplink.ts";

/** Length of the example: as much as one notification holds without a larger MTU. */
const EXAMPLE_BYTES = 20;

/** For each item what is asked of the peripheral, and what one that holds zeros sends. */
export function explainBle(config: BleConfig): readonly Explanation[] {
  const { devices } = config;
  return devices.flatMap((device, index) => {
    const uplink = new DeviceUplink(device, { strategy: undefined, extension: undefined });
    const items = [
      ...[...uplink.reads, ...uplink.notifies].flatMap((group) => group.items),
      ...uplink.advertised,
    ];
    return (["telemetry", "attributes"] as const).flatMap((section) =>
      device[section].map((item, place) => ({
        path: formatPath([
          "devices",
          indexInFile(devices, index),
          section,
          indexInFile(device[section], place),
        ]),
        request: requestText(device, item),
        sends: exampleOf(
          uplink,
          items.find((one) => one.config === item),
        ),
      })),
    );
  });
}

function requestText(device: DeviceConfig, item: ReadItem): string {
  const { MACAddress, pollPeriod } = device;
  if (item.dataSourceType === "advertisement") {
    return `${MACAddress}: ${item.advField} of each advertisement that differs, and every ${pollPeriod} ms`;
  }
  const { characteristicUUID, handle } = item;
  const what = targetText({
    characteristicUUID: characteristicUUID === undefined ? undefined : fullUuid(characteristicUUID),
    handle,
  });
  return item.method === "notify"
    ? `${MACAddress}: each notification of ${what}`
    : `${MACAddress}: read ${what} every ${pollPeriod} ms`;
}

function exampleOf(uplink: DeviceUplink, item: BoundItem | undefined): DeviceData | null {
  if (item === undefined) {
    return null;
  }
  const isBad = (_item: BoundItem, _error: DataError): void => undefined;
  const data = new Uint8Array(EXAMPLE_BYTES);
  const [record] = uplink.records([{ item, data }], epochMs(0), isBad);
  if (record === undefined) {
    return null;
  }
  const { receivedTs: _moment, ...sends } = record;
  return sends;
}
