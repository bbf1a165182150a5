import { DataError } from "./errors.ts";

/** "big": the most significant byte first. */
export type ByteOrder = "big" | "little";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

/**
 * Reads numbers and text out of bytes, front to back. It keeps a view of the array it was given, so the array must not change meanwhile.
 * @throws DataError from every read that would pass the end; nothing is consumed then.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #isLittle: boolean;
  #offset = 0;

  /** `order` counts for every number wider than one byte; default big. */
  constructor(bytes: Uint8Array, order: ByteOrder = "big") {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#isLittle = order === "little";
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** Goes to a byte from the start; the end itself is allowed. @throws DataError outside. */
  seek(offset: number): void {
    if (!Number.isInteger(offset) || offset < 0 || offset > this.#bytes.length) {
      throw new DataError(`Cannot go to byte ${offset}: there are ${this.#bytes.length}`);
    }
    this.#offset = offset;
  }

  skip(size: number): void {
    this.#take(size);
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  int8(): number {
    return this.#view.getInt8(this.#take(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), this.#isLittle);
  }

  int16(): number {
    return this.#view.getInt16(this.#take(2), this.#isLittle);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), this.#isLittle);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), this.#isLittle);
  }

  uint64(): bigint {
    return this.#view.getBigUint64(this.#take(8), this.#isLittle);
  }

  int64(): bigint {
    return this.#view.getBigInt64(this.#take(8), this.#isLittle);
  }

  /** IEEE 754 single precision, widened. May be NaN or infinite. */
  float32(): number {
    return this.#view.getFloat32(this.#take(4), this.#isLittle);
  }

  /** IEEE 754 double precision. May be NaN or infinite. */
  float64(): number {
    return this.#view.getFloat64(this.#take(8), this.#isLittle);
  }

  /** An unsigned integer of any width. */
  uint(size: number): bigint {
    let value = 0n;
    const bytes = this.bytes(size);
    for (const byte of this.#isLittle ? bytes.toReversed() : bytes) {
      value = (value << 8n) | BigInt(byte);
    }
    return value;
  }

  /** A view, not a copy. */
  bytes(size: number): Uint8Array {
    const start = this.#take(size);
    return this.#bytes.subarray(start, start + size);
  }

  /** All that is left, as a view. */
  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  /** UTF-8. @throws DataError when the bytes are not. */
  text(size: number): string {
    const bytes = this.bytes(size);
    try {
      return strictUtf8.decode(bytes);
    } catch (cause) {
      this.#offset -= size;
      throw new DataError(`Cannot read ${size} bytes as text: they are not UTF-8`, { cause });
    }
  }

  #take(size: number): number {
    if (!Number.isInteger(size) || size < 0 || size > this.remaining) {
      throw new DataError(
        `Cannot read ${size} bytes at offset ${this.#offset}: ${this.remaining} are left`,
      );
    }
    const start = this.#offset;
    this.#offset += size;
    return start;
  }
}

/** Writes numbers and text behind each other; the space grows as needed. @throws DataError for a number that does not fit. */
export class ByteWriter {
  readonly #isLittle: boolean;
  #bytes = new Uint8Array(64);
  #view = new DataView(this.#bytes.buffer);
  #size = 0;

  /** `order` counts for every number wider than one byte; default big. */
  constructor(order: ByteOrder = "big") {
    this.#isLittle = order === "little";
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#size;
  }

  uint8(value: number): this {
    checkRange(value, 0, 0xff);
    this.#view.setUint8(this.#grow(1), value);
    return this;
  }

  int8(value: number): this {
    checkRange(value, -0x80, 0x7f);
    this.#view.setInt8(this.#grow(1), value);
    return this;
  }

  uint16(value: number): this {
    checkRange(value, 0, 0xffff);
    this.#view.setUint16(this.#grow(2), value, this.#isLittle);
    return this;
  }

  int16(value: number): this {
    checkRange(value, -0x8000, 0x7fff);
    this.#view.setInt16(this.#grow(2), value, this.#isLittle);
    return this;
  }

  uint32(value: number): this {
    checkRange(value, 0, 0xffff_ffff);
    this.#view.setUint32(this.#grow(4), value, this.#isLittle);
    return this;
  }

  int32(value: number): this {
    checkRange(value, -0x8000_0000, 0x7fff_ffff);
    this.#view.setInt32(this.#grow(4), value, this.#isLittle);
    return this;
  }

  uint64(value: bigint): this {
    checkBigRange(value, 0n, 2n ** 64n - 1n);
    this.#view.setBigUint64(this.#grow(8), value, this.#isLittle);
    return this;
  }

  int64(value: bigint): this {
    checkBigRange(value, -(2n ** 63n), 2n ** 63n - 1n);
    this.#view.setBigInt64(this.#grow(8), value, this.#isLittle);
    return this;
  }

  /** Rounds to single precision. NaN and infinities are written as they are. @throws DataError when a finite value overflows. */
  float32(value: number): this {
    if (Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
      throw new DataError(`Cannot write ${value}: it does not fit into single precision`);
    }
    this.#view.setFloat32(this.#grow(4), value, this.#isLittle);
    return this;
  }

  float64(value: number): this {
    this.#view.setFloat64(this.#grow(8), value, this.#isLittle);
    return this;
  }

  bytes(value: Uint8Array): this {
    const start = this.#grow(value.length);
    this.#bytes.set(value, start);
    return this;
  }

  /** UTF-8, without a length in front or an end mark behind. */
  text(value: string): this {
    return this.bytes(utf8.encode(value));
  }

  /** A copy of what was written; writing may go on. */
  toBytes(): Uint8Array {
    return this.#bytes.slice(0, this.#size);
  }

  /** Makes room and returns where it begins. */
  #grow(size: number): number {
    const start = this.#size;
    this.#size += size;
    if (this.#size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#size, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }
}

function checkRange(value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new DataError(`Cannot write ${value}: need an integer from ${least} to ${most}`);
  }
}

function checkBigRange(value: bigint, least: bigint, most: bigint): void {
  if (value < least || value > most) {
    throw new DataError(`Cannot write ${value}: need an integer from ${least} to ${most}`);
  }
}
