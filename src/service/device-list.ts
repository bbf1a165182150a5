import { DataError } from "#sdk/errors";
import type { StoredDevice } from "./devices.ts";

/** Devices as a file has them. */
export interface DeviceList {
  readonly devices: readonly StoredDevice[];
  /** Names of entries that no device can be read from. */
  readonly unreadable: readonly string[];
}

/** A connector that devices may belong to. */
export interface DeviceOwner {
  readonly id: string;
  readonly name: string;
  /** It can be started. */
  readonly isReady: boolean;
}

/** Longest name, as on the platform. */
const MAX_NAME_LENGTH = 255;

/**
 * Reads the file of the ThingsBoard gateway: by local name an object, or in the older form a list `[connector, type, new name?]`.
 * An empty text holds no device. @throws DataError when it is not JSON or not an object
 */
export function readDeviceList(text: string): DeviceList {
  if (text.trim() === "") {
    return { devices: [], unreadable: [] };
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new DataError("Cannot read the list of devices: it is not JSON", { cause });
  }
  if (!isRecord(content)) {
    throw new DataError("Cannot read the list of devices: it must be one object, by device name");
  }
  const devices: StoredDevice[] = [];
  const unreadable: string[] = [];
  for (const [deviceName, entry] of Object.entries(content)) {
    const device = readEntry(deviceName, entry);
    if (device === undefined) {
      unreadable.push(deviceName);
    } else {
      devices.push(device);
    }
  }
  return { devices, unreadable };
}

/** The text of the file, in the form of the ThingsBoard gateway: keys sorted, two spaces of indent. */
export function writeDeviceList(devices: readonly StoredDevice[]): string {
  const sorted = devices.toSorted((one, other) => (one.deviceName < other.deviceName ? -1 : 1));
  // Not one object for all: it would put names that are whole numbers first.
  const members = sorted.map((device) => {
    const entry = {
      connectorId: device.connectorId,
      connectorName: device.connectorName,
      deviceType: device.deviceType,
      disconnected: device.disconnected,
      renaming: device.renaming ?? null,
    };
    const text = JSON.stringify(entry, null, 2).replaceAll("\n", "\n  ");
    return `  ${JSON.stringify(device.deviceName)}: ${text}`;
  });
  return members.length === 0 ? "{}" : `{\n${members.join(",\n")}\n}`;
}

/**
 * Gives the devices to their connectors, found by id, else by name. A device of a connector that cannot be started is kept and not
 * announced; one of no connector is left out, unless the platform has given it a name.
 */
export function assignDevices(
  devices: readonly StoredDevice[],
  owners: readonly DeviceOwner[],
): readonly StoredDevice[] {
  const byId = new Map(owners.map((owner) => [owner.id, owner]));
  const byName = new Map(owners.map((owner) => [owner.name, owner]));
  return devices.flatMap((device): readonly StoredDevice[] => {
    const owner = byId.get(device.connectorId) ?? byName.get(device.connectorName);
    if (owner === undefined) {
      return device.renaming === undefined ? [] : [{ ...device, disconnected: true }];
    }
    const disconnected = device.disconnected || !owner.isReady;
    return [{ ...device, connectorId: owner.id, connectorName: owner.name, disconnected }];
  });
}

function readEntry(deviceName: string, entry: unknown): StoredDevice | undefined {
  if (deviceName.trim() === "" || deviceName.length > MAX_NAME_LENGTH) {
    return undefined;
  }
  if (Array.isArray(entry)) {
    const [connectorName, deviceType, renaming]: readonly unknown[] = entry;
    return typeof connectorName === "string"
      ? toDevice(deviceName, { connectorName, deviceType, renaming })
      : undefined;
  }
  return isRecord(entry) ? toDevice(deviceName, entry) : undefined;
}

function toDevice(deviceName: string, entry: Readonly<Record<string, unknown>>): StoredDevice {
  const renaming = textOf(entry["renaming"]);
  const isRenamed = renaming !== "" && renaming !== deviceName;
  return {
    deviceName,
    deviceType: textOf(entry["deviceType"]) || "default",
    connectorId: textOf(entry["connectorId"]),
    connectorName: textOf(entry["connectorName"]),
    disconnected: entry["disconnected"] === true,
    renaming: isRenamed && renaming.length <= MAX_NAME_LENGTH ? renaming : undefined,
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
