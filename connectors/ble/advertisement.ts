import type { Json } from "#sdk/model";
import { normalUuid } from "./addresses.ts";
import { compileCompute } from "./codec.ts";
import type { BoundItem, Reading } from "./uplink.ts";

/** One advertisement, as far as items can ask for it. */
export interface Advertisement {
  readonly rssi: number;
  readonly txPower: number | undefined;
  readonly name: string | undefined;
  readonly companyId: number | undefined;
  /** What follows the company. */
  readonly manufacturer: Uint8Array | undefined;
  readonly services: readonly { readonly uuid: string; readonly data: Uint8Array }[];
}

/** What noble has read of an advertisement. */
export function readAdvertisement(peripheral: NoblePeripheral): Advertisement {
  const { localName, txPowerLevel, manufacturerData, serviceData } = peripheral.advertisement;
  const hasCompany = manufacturerData !== undefined && manufacturerData.length >= 2;
  return {
    rssi: peripheral.rssi,
    txPower: txPowerLevel,
    name: localName,
    companyId: hasCompany ? manufacturerData.readUInt16LE(0) : undefined,
    manufacturer: hasCompany ? Uint8Array.from(manufacturerData.subarray(2)) : undefined,
    services: (serviceData ?? []).map(({ uuid, data }) => ({
      uuid: normalUuid(uuid) ?? uuid,
      data: Uint8Array.from(data),
    })),
  };
}

/** What an advertisement holds for items; those it holds nothing for are left out. */
export function readingsOf(
  items: readonly BoundItem[],
  advertisement: Advertisement,
): readonly Reading[] {
  const readings: Reading[] = [];
  for (const item of items) {
    const data = partFor(item, advertisement);
    if (data !== undefined) {
      readings.push({ item, data });
    }
  }
  return readings;
}

/** A text that is the same for two advertisements with the same contents; the signal strength does not count. */
export function signature({ manufacturer, companyId, services, name }: Advertisement): string {
  const hex = (bytes: Uint8Array | undefined): string =>
    bytes === undefined ? "" : Buffer.from(bytes).toString("hex");
  const parts = services.map(({ uuid, data }) => `${uuid}=${hex(data)}`);
  return [companyId, hex(manufacturer), name, ...parts].join(";");
}

function partFor({ config }: BoundItem, advertisement: Advertisement): Reading["data"] | undefined {
  const { advField, companyId, serviceUUID, compute } = config;
  const plain = (value: Json | undefined): Reading["data"] | undefined => {
    if (value === undefined) {
      return undefined;
    }
    const result =
      compute === undefined ? value : compileCompute(compute).evaluate({ value }).value;
    return result === undefined ? undefined : { value: result };
  };
  switch (advField) {
    case "rssi":
      return plain(advertisement.rssi);
    case "txPower":
      return plain(advertisement.txPower);
    case "name":
      return advertisement.name === undefined ? undefined : { value: advertisement.name };
    case "service":
      return advertisement.services.find(
        ({ uuid }) => serviceUUID === undefined || uuid === serviceUUID,
      )?.data;
    case "manufacturer":
      return companyId === undefined || companyId === advertisement.companyId
        ? advertisement.manufacturer
        : undefined;
  }
}
