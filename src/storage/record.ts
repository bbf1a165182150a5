import { compress, crc32, decompress } from "#platform/checksum";
import { DataError } from "#sdk/errors";

/** Most records in a block: an index has 20 bits in a cursor. */
export const MAX_BLOCK_RECORDS = 2 ** 20;

/** Longest text of a block, in bytes: what a reader is ready to hold. Only a single huge record comes near it. */
export const MAX_TEXT_BYTES = 64 * 1024 * 1024;

/** Bytes in front of the payload. */
export const HEADER_BYTES = 36;

const MAGIC = 0x54_42_47_42; // "TBGB"
const CODEC_VERSION = 1;
const FLAG_ZSTD = 1;
const CRC_OFFSET = 32;

/** Text shorter than this is stored as it is: a zstd frame would hardly be smaller. */
const COMPRESS_FROM_BYTES = 256;
const ZSTD_LEVEL = 1;

/** Many records in one piece. */
export interface Block {
  /** Epoch milliseconds at which it was stored. */
  readonly time: number;
  readonly records: number;
  readonly values: number;
  /** Batches of `sdk/batch`, one after another, UTF-8. */
  readonly text: Uint8Array;
}

/** The block as bytes; the payload is compressed when that saves an eighth. @throws RangeError when a number is out of range. */
export function encodeBlock(block: Block): Uint8Array<ArrayBuffer> {
  const { text } = block;
  checkRange("records", block.records, 1, MAX_BLOCK_RECORDS);
  checkRange("values", block.values, 0, 0xffff_ffff);
  checkRange("time", block.time, 0, Number.MAX_SAFE_INTEGER);
  checkRange("length", text.length, 0, MAX_TEXT_BYTES);
  const small: Uint8Array = text.length < COMPRESS_FROM_BYTES ? text : compress(text, ZSTD_LEVEL);
  const isCompressed = small.length < text.length - (text.length >> 3);
  const payload = isCompressed ? small : text;
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, CODEC_VERSION);
  view.setUint8(5, isCompressed ? FLAG_ZSTD : 0);
  view.setBigUint64(8, BigInt(block.time));
  view.setUint32(16, block.records);
  view.setUint32(20, block.values);
  view.setUint32(24, text.length);
  view.setUint32(28, payload.length);
  bytes.set(payload, HEADER_BYTES);
  view.setUint32(CRC_OFFSET, blockCrc(bytes));
  return bytes;
}

/** Reads what `encodeBlock` made, of any bytes. @throws DataError reason `corrupt` when they are not a whole and undamaged block. */
export function decodeBlock(bytes: Uint8Array): Block {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkWhole(bytes, view);
  const time = Number(view.getBigUint64(8));
  const records = view.getUint32(16);
  const textLength = view.getUint32(24);
  const flags = view.getUint8(5);
  if (!Number.isSafeInteger(time) || records < 1 || records > MAX_BLOCK_RECORDS) {
    throw corrupt("a number is out of range");
  }
  if (textLength > MAX_TEXT_BYTES || (flags & ~FLAG_ZSTD) !== 0) {
    throw corrupt("unknown flags or too long a text");
  }
  const payload = bytes.subarray(HEADER_BYTES);
  const text = (flags & FLAG_ZSTD) === 0 ? payload : decompress(payload, textLength);
  if (text.length !== textLength) {
    throw corrupt(`text of ${text.length} bytes, header says ${textLength}`);
  }
  return { time, records, values: view.getUint32(20), text };
}

/** The CRC in the header of a block that has been decoded: tells blocks apart without comparing them. */
export function blockCrcOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(CRC_OFFSET);
}

/** @throws DataError unless the bytes are what was written. */
function checkWhole(bytes: Uint8Array, view: DataView): void {
  if (bytes.length < HEADER_BYTES) {
    throw corrupt(`${bytes.length} bytes, the header alone has ${HEADER_BYTES}`);
  }
  if (view.getUint32(0) !== MAGIC) {
    throw corrupt("wrong magic");
  }
  const version = view.getUint8(4);
  if (version !== CODEC_VERSION) {
    throw corrupt(`codec version ${version}, need ${CODEC_VERSION}`);
  }
  const payloadLength = view.getUint32(28);
  if (payloadLength !== bytes.length - HEADER_BYTES) {
    throw corrupt(`payload of ${bytes.length - HEADER_BYTES} bytes, header says ${payloadLength}`);
  }
  if (view.getUint32(CRC_OFFSET) !== blockCrc(bytes)) {
    throw corrupt("wrong CRC");
  }
}

/** CRC of everything but the CRC itself. */
function blockCrc(bytes: Uint8Array): number {
  return crc32(bytes.subarray(HEADER_BYTES), crc32(bytes.subarray(0, CRC_OFFSET)));
}

function checkRange(name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot encode a block: ${name} ${value} must be ${min} to ${max}`);
  }
}

function corrupt(what: string): DataError {
  return new DataError(`Cannot read a block: ${what}`, { reason: "corrupt" });
}
