import { isJsonObject, type Json } from "#sdk/model";
import type { JsonRecord } from "../../config/canonical.ts";

/** Where a connector file has its devices and their values. */
export interface OutlineShape {
  /** Members that lead to the list of devices. */
  readonly devices: readonly string[];
  /** Members that lead from a device to its name. */
  readonly name: readonly string[];
  /** Members that lead from a device to each list of values. */
  readonly lists: readonly (readonly string[])[];
  /** Member of a value with its key on the platform. */
  readonly key: string;
}

/** A device of a connector file. */
export interface OutlineDevice {
  readonly name: string;
  readonly values: readonly string[];
}

/** The devices of a connector file with the keys of their values. */
export function outlineOf(config: JsonRecord, shape: OutlineShape): readonly OutlineDevice[] {
  return devicesOf(config, shape).map((device) => ({
    name: textOf(at(device, shape.name)),
    values: shape.lists.flatMap((path) =>
      listOf(at(device, path)).map((value) => textOf(at(value, [shape.key]))),
    ),
  }));
}

/** What a person wants of a device: `undefined` leaves it out. */
export interface Wanted {
  readonly name: string;
  /** The new key of each value that stays, by its place among the device's values. */
  readonly keys: ReadonlyMap<number, string>;
}

/** A connector file with the wanted devices and values alone, under the wanted names. */
export function narrowed(
  config: JsonRecord,
  shape: OutlineShape,
  wanted: readonly (Wanted | undefined)[],
): JsonRecord {
  const devices = devicesOf(config, shape).flatMap((device, index) => {
    const want = wanted[index];
    return want === undefined ? [] : [narrowDevice(device, shape, want)];
  });
  const placed = put(config, shape.devices, devices);
  return isJsonObject(placed) ? placed : config;
}

function narrowDevice(device: Json, shape: OutlineShape, { name, keys }: Wanted): Json {
  let narrowedDevice = put(device, shape.name, name);
  let place = 0;
  for (const path of shape.lists) {
    const list = listOf(at(device, path));
    if (list.length === 0) {
      continue;
    }
    const kept: Json[] = [];
    for (const value of list) {
      const key = keys.get(place);
      place += 1;
      if (key !== undefined) {
        kept.push(put(value, [shape.key], key));
      }
    }
    narrowedDevice = put(narrowedDevice, path, kept);
  }
  return narrowedDevice;
}

/** How many values a connector file reads. */
export function valueCount(config: JsonRecord, shape: OutlineShape): number {
  return outlineOf(config, shape).reduce((sum, { values }) => sum + values.length, 0);
}

function devicesOf(config: JsonRecord, { devices }: OutlineShape): readonly Json[] {
  return listOf(at(config, devices));
}

function at(value: Json, path: readonly string[]): Json | undefined {
  let inner: Json | undefined = value;
  for (const key of path) {
    inner = isJsonObject(inner) ? inner[key] : undefined;
  }
  return inner;
}

function put(value: Json, [key, ...rest]: readonly string[], inner: Json): Json {
  if (key === undefined) {
    return inner;
  }
  const object = isJsonObject(value) ? value : {};
  return { ...object, [key]: put(object[key] ?? {}, rest, inner) };
}

function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? "");
}
