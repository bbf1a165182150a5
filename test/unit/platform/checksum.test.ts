import { expect, test } from "bun:test";
import fc from "fast-check";
import { compress, crc32, decompress } from "../../../src/platform/checksum.ts";
import { DataError } from "../../../src/sdk/errors.ts";

test("crc32() gives the check value of IEEE 802.3, also in two parts", () => {
  const bytes = new TextEncoder().encode("123456789");
  expect(crc32(bytes)).toBe(0xcbf43926);
  expect(crc32(bytes.subarray(4), crc32(bytes.subarray(0, 4)))).toBe(0xcbf43926);
});

test("decompress() reads what compress() made", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 3000 }),
      fc.integer({ min: 1, max: 5 }),
      (bytes, level) => {
        const back = decompress(compress(bytes, level), bytes.length);
        expect(Uint8Array.from(back)).toEqual(bytes);
      },
    ),
  );
});

test("decompress() throws DataError for rubbish and for more than it may hold", () => {
  expect(() => decompress(Uint8Array.of(1, 2, 3), 100)).toThrow(DataError);
  expect(() => decompress(compress(new Uint8Array(1000), 1), 999)).toThrow(DataError);
});
