import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { errorText } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { epochMs, isJsonObject } from "#sdk/model";
import type { LeftBacklog, LeftFile, LeftRecord } from "./python-source.ts";

const DATA_FILE = /^data_.*\.txt$/;
const STATE_FILE = "state_file.txt";
const CHUNK_BYTES = 256 * 1024;
/** A longer line is no record: the Python gateway splits at 8 KiB. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const LINE_FEED = 10;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The `data_*.txt` files of a folder in the order of their names, from the one on that `state_file.txt` points to.
 * `undefined` when there is none. @throws Error when the folder cannot be read.
 */
export function findTextFiles(folder: string): LeftBacklog | undefined {
  const names = existsSync(folder)
    ? readdirSync(folder).filter((name) => DATA_FILE.test(name))
    : [];
  if (names.length === 0) {
    return undefined;
  }
  const statePath = join(folder, STATE_FILE);
  const others = existsSync(statePath) ? [statePath] : [];
  const { state, warnings } = readState(statePath);
  const sorted = names.sort();
  // A file that is gone had been read to its end: what is there comes after it.
  const current = sorted.indexOf(state?.file ?? "");
  const files = sorted.slice(Math.max(0, current)).map((name, index): LeftFile => {
    const path = join(folder, name);
    const startAt = index === 0 && current >= 0 ? (state?.position ?? 0) : 0;
    const records = (position: number): Iterable<LeftRecord> => readLines(path, position);
    return { path, identity: `${name}/${statSync(path).ino}`, startAt, records };
  });
  const read = sorted.slice(0, Math.max(0, current)).map((name) => join(folder, name));
  return { folder, files, others: [...read, ...others], warnings };
}

interface State {
  readonly file: string;
  readonly position: number;
}

/** What the Python gateway has sent already. */
function readState(path: string): { state: State | undefined; warnings: readonly string[] } {
  if (!existsSync(path)) {
    return { state: undefined, warnings: [] };
  }
  try {
    const state = readJson(readFileSync(path, "utf8"));
    const file = isJsonObject(state) ? state["file"] : undefined;
    const position = isJsonObject(state) ? state["position"] : undefined;
    if (typeof file === "string" && typeof position === "number" && position >= 0) {
      return { state: { file, position }, warnings: [] };
    }
    return { state: undefined, warnings: [`${path} does not say what has been sent`] };
  } catch (error) {
    return { state: undefined, warnings: [`${path}: ${errorText(error)}`] };
  }
}

/** The lines after the first `skip` ones. */
function* readLines(path: string, skip: number): Generator<LeftRecord> {
  const file = openSync(path, "r");
  try {
    const storedMs = epochMs(fstatSync(file).mtimeMs);
    let position = 0;
    for (const line of splitLines(file)) {
      position += 1;
      if (position > skip && line?.length !== 0) {
        yield { position, text: decodeLine(line), count: 1, storedMs };
      }
    }
  } finally {
    closeSync(file);
  }
}

/** Each line without its end; `undefined` for one that is too long. The last one needs no line feed. */
function* splitLines(file: number): Generator<Uint8Array | undefined> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for (let size = readSync(file, chunk); size > 0; size = readSync(file, chunk)) {
    let start = 0;
    for (
      let end = chunk.indexOf(LINE_FEED, start);
      end >= 0 && end < size;
      end = chunk.indexOf(LINE_FEED, start)
    ) {
      parts.push(chunk.subarray(start, end));
      yield bytes > MAX_LINE_BYTES ? undefined : trimmed(Buffer.concat(parts));
      parts = [];
      bytes = 0;
      start = end + 1;
    }
    bytes += size - start;
    // The chunk is filled again: what is left of it must be a copy.
    parts = bytes > MAX_LINE_BYTES ? [] : [...parts, Buffer.from(chunk.subarray(start, size))];
  }
  if (bytes > 0) {
    yield bytes > MAX_LINE_BYTES ? undefined : trimmed(Buffer.concat(parts));
  }
}

/** Without the carriage return of a file that was edited elsewhere. */
function trimmed(line: Uint8Array): Uint8Array {
  return line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
}

/** The text of a line; `undefined` when it is not Base64 (RFC 4648 §4) of UTF-8. */
function decodeLine(line: Uint8Array | undefined): string | undefined {
  const encoded = line === undefined ? "" : Buffer.from(line).toString("latin1");
  if (encoded.length % 4 !== 0 || !BASE64.test(encoded)) {
    return undefined;
  }
  try {
    return utf8.decode(Buffer.from(encoded, "base64"));
  } catch {
    return undefined;
  }
}
