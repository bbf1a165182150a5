import type { EncodedRecord } from "#sdk/batch";
import type { DeviceData } from "#sdk/model";
import type { Passed } from "./report-cache.ts";

/** Text of one record at most: in UTF-8 it fits into a block of the store, and is 200 times what the platform takes at once. */
export const MAX_RECORD_CHARS = 16 * 1024 * 1024;

/** Records of one call, with what had to be left out of them. */
export interface Encoded {
  readonly records: EncodedRecord[];
  /** Named in entries that carry the times of their way; `undefined`: entries carry none. */
  readonly connector: string | undefined;
  values: number;
  badValues: number;
  /** Values of records that are larger than the store takes. */
  tooLarge: number;
  /** Values of devices that the device filter keeps out. */
  filtered: number;
  /** Equal values that their report strategy leaves out. */
  unchanged: number;
  /** Values that wait for the end of a report period. */
  held: number;
  /** What report strategies let through, to be confirmed or taken back at the end of the call; `undefined`: none was asked. */
  passed: Passed[] | undefined;
}

/** A call of which nothing is encoded yet. */
export function newEncoded(connector?: string): Encoded {
  return {
    records: [],
    connector,
    values: 0,
    badValues: 0,
    tooLarge: 0,
    filtered: 0,
    unchanged: 0,
    held: 0,
    passed: undefined,
  };
}

/** Adds a record; one that no store and no platform would take is counted instead. */
export function addRecord(encoded: Encoded, record: EncodedRecord): void {
  if (record.json.length > MAX_RECORD_CHARS) {
    encoded.tooLarge += record.values;
    return;
  }
  encoded.records.push(record);
  encoded.values += record.values;
}

/** Values in the data of a device. */
export function countValues({ attributes = {}, telemetry = [] }: DeviceData): number {
  let count = Object.keys(attributes).length;
  for (const { values } of telemetry) {
    count += Object.keys(values).length;
  }
  return count;
}
