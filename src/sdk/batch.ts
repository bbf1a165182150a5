import { DataError } from "./errors.ts";

/** What a record is for: a device behind the gateway, or the gateway's own device. */
export type RecordKind = "telemetry" | "attributes" | "gateway-telemetry" | "gateway-attributes";

/** A record on its way to the store. `json` is one telemetry entry `{"ts":1,"values":{…}}` (or `sdk/latency`) or an attributes object. */
export interface EncodedRecord {
  readonly kind: RecordKind;
  /** Local name; "" for the gateway's own data. */
  readonly device: string;
  readonly deviceType: string;
  readonly json: string;
  readonly values: number;
}

const LETTERS: Readonly<Record<RecordKind, string>> = {
  telemetry: "T",
  attributes: "A",
  "gateway-telemetry": "G",
  "gateway-attributes": "H",
};
const KINDS: Readonly<Record<string, RecordKind>> = {
  T: "telemetry",
  A: "attributes",
  G: "gateway-telemetry",
  H: "gateway-attributes",
};

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Collects records as text, one line each: kind letter, count of values, tab, device, tab, device type, tab, JSON. Device and
 * type are JSON strings and left empty when they repeat the line before; JSON text holds neither tab nor line feed, so
 * both are safe separators. Readable with any editor, quick to compress, and a torn tail costs only the last line.
 */
export class BatchWriter {
  #text = "";
  #device: string | undefined;
  #deviceType: string | undefined;
  records = 0;
  values = 0;

  /** Characters so far: a lower bound of the bytes. */
  get length(): number {
    return this.#text.length;
  }

  add(record: EncodedRecord): void {
    const sameDevice = record.device === this.#device && record.deviceType === this.#deviceType;
    const owner = sameDevice
      ? "\t\t"
      : `\t${JSON.stringify(record.device)}\t${JSON.stringify(record.deviceType)}`;
    this.#text += `${LETTERS[record.kind]}${record.values}${owner}\t${record.json}\n`;
    this.#device = record.device;
    this.#deviceType = record.deviceType;
    this.records += 1;
    this.values += record.values;
  }

  /** The batch as UTF-8; the writer is empty afterwards. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = encoder.encode(this.#text);
    this.#text = "";
    this.#device = undefined;
    this.#deviceType = undefined;
    this.records = 0;
    this.values = 0;
    return bytes;
  }
}

/** Reads what `BatchWriter` wrote, also several batches one after another. @throws DataError reason `corrupt` */
export function readBatch(bytes: Uint8Array): EncodedRecord[] {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch (error) {
    throw new DataError("Cannot read a batch: it is not UTF-8", {
      cause: error,
      reason: "corrupt",
    });
  }
  const records: EncodedRecord[] = [];
  let device = "";
  let deviceType = "";
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf("\n", start);
    const first = text.indexOf("\t", start);
    const second = text.indexOf("\t", first + 1);
    const third = text.indexOf("\t", second + 1);
    const kind = KINDS[text.charAt(start)];
    if (kind === undefined || end < 0 || first < 0 || second < 0 || third < 0 || third > end) {
      throw new DataError(`Cannot read a batch: bad line at character ${start}`, {
        reason: "corrupt",
      });
    }
    if (second > first + 1) {
      device = readText(text.slice(first + 1, second));
      deviceType = readText(text.slice(second + 1, third));
    }
    const values = Number(text.slice(start + 1, first));
    if (!Number.isSafeInteger(values) || values < 0) {
      throw new DataError(`Cannot read a batch: bad count at character ${start}`, {
        reason: "corrupt",
      });
    }
    records.push({ kind, device, deviceType, json: text.slice(third + 1, end), values });
    start = end + 1;
  }
  return records;
}

/** A JSON string's text. */
function readText(json: string): string {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new DataError("Cannot read a batch: bad name", { cause: error, reason: "corrupt" });
  }
  if (typeof value !== "string") {
    throw new DataError("Cannot read a batch: a name must be a JSON string", { reason: "corrupt" });
  }
  return value;
}
