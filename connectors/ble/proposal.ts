import { textOf } from "#sdk/encode";
import type { Json } from "#sdk/model";
import { fullUuid } from "./addresses.ts";
import type { Advertisement } from "./advertisement.ts";
import { compileDecode, hexText } from "./codec.ts";
import type { NumberFormatName } from "./number-format.ts";
import { handleText } from "./target.ts";

/** What a probe knows of a characteristic. */
export interface SeenCharacteristic {
  readonly uuid: string;
  readonly handle: number;
  readonly properties: readonly string[];
  /** `undefined`: it cannot be read, or was refused. */
  readonly value: Uint8Array | undefined;
}

/** How the value of a characteristic lies in its bytes. */
interface Known {
  readonly key: string;
  readonly format: NumberFormatName | "utf8" | "hex";
  readonly compute?: string;
  readonly section?: "attributes";
}

/** Characteristics of the Bluetooth SIG whose value is one number or text (GATT Specification Supplement). */
const KNOWN: Readonly<Record<string, Known>> = {
  "2a00": { key: "deviceName", format: "utf8", section: "attributes" },
  "2a07": { key: "txPower", format: "int8" },
  "2a19": { key: "battery", format: "uint8" },
  "2a24": { key: "model", format: "utf8", section: "attributes" },
  "2a25": { key: "serialNumber", format: "utf8", section: "attributes" },
  "2a26": { key: "firmware", format: "utf8", section: "attributes" },
  "2a27": { key: "hardware", format: "utf8", section: "attributes" },
  "2a28": { key: "software", format: "utf8", section: "attributes" },
  "2a29": { key: "manufacturer", format: "utf8", section: "attributes" },
  "2a6d": { key: "pressure", format: "uint32le", compute: "value / 10" },
  "2a6e": { key: "temperature", format: "int16le", compute: "value / 100" },
  "2a6f": { key: "humidity", format: "uint16le", compute: "value / 100" },
  "2a76": { key: "uvIndex", format: "uint8" },
};

/** Of the peripheral itself and of no use as a value: appearance, connection parameters, service changed, address resolution. */
const OF_THE_LINK: ReadonlySet<string> = new Set(["2a01", "2a04", "2a05", "2aa6", "2b29", "2b2a"]);

/** Some makers (Bluetooth SIG, Assigned Numbers §7). */
const COMPANIES: Readonly<Record<number, string>> = {
  0x0006: "Microsoft",
  0x000d: "Texas Instruments",
  0x004c: "Apple",
  0x0059: "Nordic Semiconductor",
  0x0075: "Samsung",
  0x00e0: "Google",
  0x02e5: "Espressif",
  0x02ff: "Silicon Labs",
  0x038f: "Xiaomi",
  0x0499: "Ruuvi",
};

/** What an advertisement says, for a person. */
export function describeAdvertisement(advertisement: Advertisement): string {
  const { name, txPower, companyId, manufacturer, services } = advertisement;
  const parts = [`${advertisement.rssi} dBm`];
  if (name !== undefined && name !== "") {
    parts.push(JSON.stringify(name));
  }
  if (companyId !== undefined && manufacturer !== undefined) {
    const beacon = describeBeacon(companyId, manufacturer);
    parts.push(`${companyText(companyId)}: ${hexText(manufacturer)}${beacon}`);
  }
  for (const { uuid, data } of services) {
    parts.push(`service ${shortUuid(uuid)}: ${hexText(data)}`);
  }
  if (txPower !== undefined) {
    parts.push(`sent with ${txPower} dBm`);
  }
  return parts.join("  ");
}

/** The same for a program. */
export function advertisementDetail(address: string, advertisement: Advertisement): Json {
  const { rssi, txPower, name, companyId, manufacturer, services } = advertisement;
  return {
    address,
    rssi,
    ...(name === undefined ? {} : { name }),
    ...(txPower === undefined ? {} : { txPower }),
    ...(companyId === undefined ? {} : { companyId }),
    ...(manufacturer === undefined ? {} : { manufacturer: hexText(manufacturer) }),
    services: services.map(({ uuid, data }) => ({ uuid, data: hexText(data) })),
  };
}

/** A device of a connector file, as far as its advertisement has something to read. */
export function proposeAdvertised(address: string, advertisement: Advertisement): Json {
  const source = { dataSourceType: "advertisement" };
  const { companyId, manufacturer, services } = advertisement;
  const telemetry: Json[] = [{ key: "rssi", ...source, advField: "rssi" }];
  if (companyId !== undefined && (manufacturer?.length ?? 0) > 0) {
    telemetry.push({ key: "data", ...source, companyId, format: "hex" });
  }
  for (const { uuid } of services) {
    const at = { advField: "service", serviceUUID: shortUuid(uuid) };
    telemetry.push({ key: `service_${shortUuid(uuid)}`, ...source, ...at, format: "hex" });
  }
  return { ...deviceOf(address, advertisement.name), telemetry };
}

/** A device of a connector file with the characteristics that can be read or notified. */
export function proposeConnected(
  address: string,
  name: string | undefined,
  characteristics: readonly SeenCharacteristic[],
): Json {
  const sections: Record<"telemetry" | "attributes", Json[]> = { telemetry: [], attributes: [] };
  const taken = new Set<string>();
  for (const { uuid, handle, properties, value } of characteristics) {
    const method = ["notify", "indicate"].some((one) => properties.includes(one))
      ? "notify"
      : "read";
    const isReadable = value !== undefined || method === "notify";
    if (OF_THE_LINK.has(uuid) || !isReadable) {
      continue;
    }
    const { key, section = "telemetry", ...reading } = KNOWN[uuid] ?? guess(uuid, value);
    const item = { key, method, characteristicUUID: shortUuid(uuid), ...reading };
    // A UUID alone stands for the first one.
    const isFirst = !taken.has(uuid);
    taken.add(uuid);
    sections[section].push(
      isFirst
        ? item
        : { ...item, key: `${key}_${handle.toString(16)}`, handle: handleText(handle) },
    );
  }
  return { ...deviceOf(address, name), ...sections };
}

/** The value of a characteristic as a proposal reads it, for a person. */
export function describeValue(uuid: string, value: Uint8Array): string {
  const known = KNOWN[uuid] ?? guess(uuid, value);
  const read =
    known.format === "hex" ? undefined : attempt(() => compileDecode(known, "hex")(value));
  const meaning = read === undefined ? "" : `  ${known.key} = ${read}`;
  return `${hexText(value)}${meaning}`;
}

function attempt(read: () => Json): string | undefined {
  try {
    const text = textOf(read());
    return /\p{Cc}|\ufffd/u.test(text) ? undefined : text;
  } catch {
    // The bytes are shown as they are: a peripheral may send less than its standard asks for.
    return undefined;
  }
}

function guess(uuid: string, value: Uint8Array | undefined): Known {
  const text = Buffer.from(value ?? []).toString("latin1");
  const isText = /^[\x20-\x7e]{2,}$/.test(text);
  return { key: `c_${uuid.slice(0, 8)}`, format: isText ? "utf8" : "hex" };
}

function deviceOf(address: string, name: string | undefined): { readonly [key: string]: Json } {
  const plain = (name ?? "").replaceAll(/[^\x20-\x7e\u00a0-\uffff]/g, "").trim();
  return {
    name: plain === "" ? `BLE ${address.slice(-5)}` : plain,
    MACAddress: address,
    pollPeriod: 60_000,
  };
}

function companyText(companyId: number): string {
  const name = COMPANIES[companyId];
  const number = `0x${companyId.toString(16).padStart(4, "0")}`;
  return name === undefined ? `company ${number}` : `${name} (${number})`;
}

/** iBeacon: type 2, 21 bytes: an identifier, two numbers, and the power at one metre. */
function describeBeacon(companyId: number, data: Uint8Array): string {
  if (companyId !== 0x004c || data[0] !== 0x02 || data[1] !== 0x15 || data.length < 23) {
    return "";
  }
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const id = fullUuid(hexText(data.subarray(2, 18)));
  const [major, minor, power] = [view.getUint16(18), view.getUint16(20), view.getInt8(22)];
  return ` (iBeacon ${id} major ${major} minor ${minor}, ${power} dBm at 1 m)`;
}

function shortUuid(uuid: string): string {
  return uuid.length === 4 ? uuid.toUpperCase() : fullUuid(uuid).toUpperCase();
}
