import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { PAGE_BYTES } from "../sqlite-tables.ts";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES;
/** "WAL-Index and checksums" of the SQLite file format: the lowest bit says that checksums are big-endian. */
const MAGIC = 0x37_7f_06_82;

/** More of a WAL is not looked at: the store keeps it below 4 MiB. */
const MAX_WAL_BYTES = 128 * 1024 * 1024;

/** Pages in a write-ahead log, as SQLite sees them and as they could still be read. */
export interface WalImage {
  /** Newest image of each page up to the last commit that SQLite accepts. */
  readonly committed: ReadonlyMap<number, Uint8Array>;
  /** Newest image of each page in frames of the same log behind a damaged one; SQLite ignores them. Empty in a sound log. */
  readonly ignored: ReadonlyMap<number, Uint8Array>;
}

/** The log of a sound store that was closed: nothing. */
export const NO_WAL: WalImage = { committed: new Map(), ignored: new Map() };

/** Reads a log file as a whole; `NO_WAL` when there is none. */
export function readWal(path: string): WalImage {
  if (!existsSync(path)) {
    return NO_WAL;
  }
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(Math.min(fstatSync(file).size, MAX_WAL_BYTES));
    let read = 0;
    while (read < bytes.length) {
      const got = readSync(file, bytes, read, bytes.length - read, read);
      if (got === 0) {
        break;
      }
      read += got;
    }
    return parseWal(bytes.subarray(0, read));
  } finally {
    closeSync(file);
  }
}

/**
 * Takes the bytes of a log apart. A log begins anew at the front with other salts, so frames with other salts are the rest of an older
 * one. Behind a damaged frame only what a later commit covers counts: frames without one were never promised to anybody.
 */
export function parseWal(bytes: Uint8Array): WalImage {
  if (bytes.length < HEADER_BYTES + FRAME_BYTES) {
    return NO_WAL;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const committed = new Map<number, Uint8Array>();
  const ignored = new Map<number, Uint8Array>();
  let waiting: Frame[] = [];
  let isSound = true;
  for (const frame of frames(bytes, view)) {
    // The frames of a commit go together: one of them damaged makes SQLite ignore all.
    isSound &&= frame.isSound;
    waiting.push(frame);
    if (frame.isCommit) {
      for (const { number, page } of waiting) {
        (isSound ? committed : ignored).set(number, page);
      }
      waiting = [];
    }
  }
  return { committed, ignored };
}

interface Frame {
  readonly number: number;
  readonly page: Uint8Array;
  readonly isCommit: boolean;
  /** It and all before it are as they were written. */
  readonly isSound: boolean;
}

/** The frames of this log, without those of an older one. */
function* frames(bytes: Uint8Array, view: DataView): Generator<Frame> {
  const { isLittle, salt1, salt2, ...header } = readHeader(view);
  let { sum, isSound } = header;
  for (let at = HEADER_BYTES; at + FRAME_BYTES <= bytes.length; at += FRAME_BYTES) {
    const isOurs = view.getUint32(at + 8) === salt1 && view.getUint32(at + 12) === salt2;
    const from = at + FRAME_HEADER_BYTES;
    if (isSound) {
      const start = checksum(view, { from: at, to: at + 8, sum, isLittle });
      sum = checksum(view, { from, to: at + FRAME_BYTES, sum: start, isLittle });
      isSound = isOurs && view.getUint32(at + 16) === sum[0] && view.getUint32(at + 20) === sum[1];
    }
    if (isOurs) {
      const page = bytes.subarray(from, at + FRAME_BYTES);
      yield { number: view.getUint32(at), page, isCommit: view.getUint32(at + 4) !== 0, isSound };
    }
  }
}

type Sum = readonly [number, number];

interface WalHeader {
  readonly isSound: boolean;
  readonly isLittle: boolean;
  readonly salt1: number;
  readonly salt2: number;
  readonly sum: Sum;
}

/** Without a sound header the salts are those of the first frame. */
function readHeader(view: DataView): WalHeader {
  const magic = view.getUint32(0);
  const isLittle = (magic & 1) === 0;
  const sum = checksum(view, { from: 0, to: 24, sum: [0, 0], isLittle });
  const isSound =
    (magic | 1) >>> 0 === (MAGIC | 1) >>> 0 &&
    view.getUint32(8) === PAGE_BYTES &&
    view.getUint32(24) === sum[0] &&
    view.getUint32(28) === sum[1];
  const salts = isSound ? 16 : HEADER_BYTES + 8;
  return { isSound, isLittle, salt1: view.getUint32(salts), salt2: view.getUint32(salts + 4), sum };
}

/** The running checksum of the log: two sums over pairs of 32-bit words. */
function checksum(
  view: DataView,
  range: {
    readonly from: number;
    readonly to: number;
    readonly sum: Sum;
    readonly isLittle: boolean;
  },
): Sum {
  let [first, second] = range.sum;
  for (let at = range.from; at < range.to; at += 8) {
    first = (first + view.getUint32(at, range.isLittle) + second) >>> 0;
    second = (second + view.getUint32(at + 4, range.isLittle) + first) >>> 0;
  }
  return [first, second];
}
