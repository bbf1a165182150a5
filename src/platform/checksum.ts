import { crc32 as zlibCrc32, zstdDecompressSync } from "node:zlib";
import { DataError } from "#sdk/errors";

/** CRC-32 (IEEE 802.3) of `bytes`, going on from `before`: the CRC of the bytes in front of them, 0 at the start. */
export function crc32(bytes: Uint8Array, before = 0): number {
  return zlibCrc32(bytes, before);
}

/** One zstd frame with `bytes` in it. Level 1 is the fastest, 22 the slowest. */
export function compress(bytes: Uint8Array, level: number): Uint8Array {
  return Bun.zstdCompressSync(bytes, { level });
}

/** What a zstd frame holds, never more than `maxBytes`. @throws DataError reason `corrupt` when it is none or holds more. */
export function decompress(bytes: Uint8Array, maxBytes: number): Uint8Array {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, maxBytes) });
  } catch (error) {
    throw new DataError("Cannot decompress: not a zstd frame of the stated length", {
      cause: error,
      reason: "corrupt",
    });
  }
}
