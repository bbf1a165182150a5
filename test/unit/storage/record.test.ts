import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { crc32 } from "../../../src/platform/checksum.ts";
import { DataError } from "../../../src/sdk/errors.ts";
import {
  decodeBlock,
  encodeBlock,
  HEADER_BYTES,
  MAX_BLOCK_RECORDS,
} from "../../../src/storage/record.ts";
import { batchOf, records } from "./batches.ts";

const blocks = fc.record({
  time: fc.maxSafeNat(),
  records: fc.integer({ min: 1, max: MAX_BLOCK_RECORDS }),
  values: fc.nat(),
  text: fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    fc
      .tuple(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.integer({ min: 1, max: 400 }))
      .map(([piece, times]) =>
        Uint8Array.from(Array.from({ length: times }, () => [...piece]).flat()),
      ),
  ),
});

/** A block with the CRC made right again after a change. */
function resealed(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(32, crc32(bytes.subarray(HEADER_BYTES), crc32(bytes.subarray(0, 32))));
  return bytes;
}

function decodeOrDataError(bytes: Uint8Array): void {
  try {
    decodeBlock(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
  }
}

describe("record", () => {
  test("decodeBlock() reads what encodeBlock() wrote", () => {
    fc.assert(
      fc.property(blocks, (block) => {
        const decoded = decodeBlock(encodeBlock(block));
        expect({ ...decoded, text: Uint8Array.from(decoded.text) }).toEqual(block);
      }),
    );
  });

  test("encodeBlock() keeps the layout that is on disk", () => {
    const bytes = encodeBlock({
      time: 1_790_000_000_000,
      records: 1,
      values: 2,
      text: Buffer.from("T2"),
    });
    expect(Buffer.from(bytes).toString("hex")).toBe(
      "5442474201000000000001a0c4506c00000000010000000200000002000000024e9781aa5432",
    );
  });

  test("encodeBlock() compresses telemetry to less than a fifth and leaves noise as it is", () => {
    const { bytes, count, values } = batchOf(records(0, 500));
    const block = encodeBlock({ time: 1, records: count, values, text: bytes });
    expect(block.length).toBeLessThan(bytes.length / 5);
    const noise = crypto.getRandomValues(new Uint8Array(4096));
    expect(encodeBlock({ time: 1, records: 1, values: 1, text: noise })).toHaveLength(
      HEADER_BYTES + noise.length,
    );
  });

  test("encodeBlock() refuses numbers that the header cannot hold", () => {
    const text = new Uint8Array(1);
    expect(() => encodeBlock({ time: 0, records: 0, values: 0, text })).toThrow(RangeError);
    expect(() => encodeBlock({ time: -1, records: 1, values: 0, text })).toThrow(RangeError);
    expect(() => encodeBlock({ time: 0, records: 1, values: 2 ** 32, text })).toThrow(RangeError);
  });

  test("decodeBlock() finds every flipped bit", () => {
    const { bytes, count, values } = batchOf(records(0, 20));
    const block = encodeBlock({ time: 1_790_000_000_000, records: count, values, text: bytes });
    for (let bit = 0; bit < block.length * 8; bit += 1) {
      const damaged = Uint8Array.from(block);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => decodeBlock(damaged)).toThrow(DataError);
    }
  });

  test("decodeBlock() finds every cut", () => {
    const { bytes, count, values } = batchOf(records(0, 20));
    const block = encodeBlock({ time: 1, records: count, values, text: bytes });
    for (let length = 0; length < block.length; length += 1) {
      expect(() => decodeBlock(block.subarray(0, length))).toThrow(DataError);
    }
  });

  test("decodeBlock() of any bytes returns or throws DataError", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decodeOrDataError));
  });

  test("decodeBlock() of a block with a right CRC and any header returns or throws DataError", () => {
    const { bytes, count, values } = batchOf(records(0, 50));
    const block = encodeBlock({ time: 1, records: count, values, text: bytes });
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: block.length - 1 }),
        fc.uint8Array({ minLength: 1, maxLength: 8 }),
        (offset, change) => {
          const damaged = Uint8Array.from(block);
          damaged.set(change.subarray(0, damaged.length - offset), offset);
          decodeOrDataError(resealed(damaged));
        },
      ),
    );
  });

  test("decodeBlock() does not unpack more than the header says", () => {
    const text = new Uint8Array(10_000_000);
    const block = resealed(
      (() => {
        const bytes = encodeBlock({ time: 1, records: 1, values: 1, text });
        new DataView(bytes.buffer).setUint32(24, 100);
        return bytes;
      })(),
    );
    expect(() => decodeBlock(block)).toThrow(DataError);
  });
});
