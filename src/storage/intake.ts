import { isUtf8 } from "node:buffer";
import { DataError, RejectedError } from "#sdk/errors";
import { type BatchCounts, type BatchPiece, scanBatch, splitBatch } from "./batch-scan.ts";
import { MAX_TEXT_BYTES } from "./record.ts";

/** Longest text of a block of more than one record. */
export const MAX_BLOCK_BYTES = 256 * 1024;

/** A batch that may be stored. */
export interface CheckedBatch {
  readonly counts: BatchCounts;
  /** Length of the text. */
  readonly bytes: number;
  readonly pieces: readonly BatchPiece[];
}

/**
 * Checks a batch before it shares a block with others, and cuts it into pieces for blocks. `count` and `values` are what the
 * sender says it holds. @throws RejectedError reason `bad-batch` when it is none or holds something else.
 */
export function checkBatch(batch: Uint8Array, count: number, values: number): CheckedBatch {
  try {
    const counts = scanBatch(batch);
    if (counts.records !== count || counts.values !== values) {
      throw new DataError(
        `Cannot take a batch: it holds ${counts.records} records and ${counts.values} values, announced ${count} and ${values}`,
      );
    }
    if (!isUtf8(batch)) {
      throw new DataError("Cannot take a batch: it is not UTF-8");
    }
    const pieces = count === 0 ? [] : splitBatch(batch, counts, MAX_BLOCK_BYTES);
    const longest = pieces.reduce((most, { bytes }) => Math.max(most, bytes.length), 0);
    if (longest > MAX_TEXT_BYTES) {
      throw new DataError(
        `Cannot take a batch: a record has ${longest} bytes, at most ${MAX_TEXT_BYTES}`,
      );
    }
    return { counts, bytes: batch.length, pieces };
  } catch (error) {
    if (error instanceof DataError) {
      throw new RejectedError(error.message, { cause: error, reason: "bad-batch" });
    }
    throw error;
  }
}
