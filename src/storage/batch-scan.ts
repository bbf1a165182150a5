import { BatchWriter, readBatch } from "#sdk/batch";
import { DataError } from "#sdk/errors";

/** What a batch holds. */
export interface BatchCounts {
  readonly records: number;
  readonly values: number;
}

/** A batch, or a part of one, that goes into one block. */
export interface BatchPiece extends BatchCounts {
  readonly bytes: Uint8Array;
}

const TAB = 9;
const LINE_FEED = 10;
const DIGIT_0 = 48;
const KINDS: ReadonlySet<number> = new Set(new TextEncoder().encode("TAGH"));

/**
 * Counts the records and values of a batch without making text of it, and proves what joining batches relies on: whole lines,
 * and device and type on the first one. Does not look at names and JSON, nor whether it is UTF-8.
 * @throws DataError reason `bad-batch`
 */
export function scanBatch(bytes: Uint8Array): BatchCounts {
  let records = 0;
  let values = 0;
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(LINE_FEED, start);
    if (end < 0) {
      throw badBatch(start, "no line feed at the end");
    }
    if (!KINDS.has(bytes[start] ?? 0)) {
      throw badBatch(start, "unknown kind");
    }
    let first = start + 1;
    let count = 0;
    for (; bytes[first] !== TAB; first += 1) {
      const digit = (bytes[first] ?? 0) - DIGIT_0;
      if (digit < 0 || digit > 9 || count > 0xff_ffff) {
        throw badBatch(first, "bad count");
      }
      count = count * 10 + digit;
    }
    checkOwner(bytes, { start, first, end }, records === 0);
    records += 1;
    values += count;
    start = end + 1;
  }
  return { records, values };
}

/** @throws DataError when the line lacks a field, or device and type where they are needed. */
function checkOwner(
  bytes: Uint8Array,
  line: { readonly start: number; readonly first: number; readonly end: number },
  isFirstLine: boolean,
): void {
  const second = nextTab(bytes, line.first);
  const third = nextTab(bytes, second);
  if (line.first === line.start + 1 || second < 0 || third < second || third > line.end) {
    throw badBatch(line.start, "a field is missing");
  }
  if (isFirstLine && second === line.first + 1) {
    throw badBatch(line.start, "the first line names no device");
  }
}

/** Place of the next tab after `from`, -1 when there is none. In most lines it is the next byte. */
function nextTab(bytes: Uint8Array, from: number): number {
  return bytes[from + 1] === TAB ? from + 1 : bytes.indexOf(TAB, from + 1);
}

/**
 * The batch in pieces of about `maxBytes`, each of which can stand alone; a single longer record is a piece of its own.
 * @throws DataError when the batch is none.
 */
export function splitBatch(bytes: Uint8Array, counts: BatchCounts, maxBytes: number): BatchPiece[] {
  if (bytes.length <= maxBytes) {
    return [{ bytes, ...counts }];
  }
  const pieces: BatchPiece[] = [];
  const writer = new BatchWriter();
  const flush = (): void => {
    if (writer.records > 0) {
      const { records, values } = writer;
      pieces.push({ records, values, bytes: writer.take() });
    }
  };
  for (const record of readBatch(bytes)) {
    if (writer.length + record.json.length > maxBytes) {
      flush();
    }
    writer.add(record);
  }
  flush();
  return pieces;
}

function badBatch(offset: number, what: string): DataError {
  return new DataError(`Cannot take a batch: ${what} at byte ${offset}`, { reason: "bad-batch" });
}
