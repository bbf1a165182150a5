import type { EpochMs } from "#sdk/model";

/** A record as it was found in a file of a Python gateway. */
export interface LeftRecord {
  /** Place in the file up to which everything has been read with this record; rises from record to record. */
  readonly position: number;
  /** JSON text; `undefined` when nothing can be read there. */
  readonly text: string | undefined;
  /** How many records this stands for: 1, or more when a whole stretch cannot be read. */
  readonly count: number;
  /** When it was stored; for a text file, when the file was written last. */
  readonly storedMs: EpochMs;
}

/** One file of a Python gateway with records in it. */
export interface LeftFile {
  readonly path: string;
  /** Its place in the order of the files, and what tells it from a later file of the same name. */
  readonly identity: string;
  /** The position before the first record to be taken; everything up to it has been sent by the Python gateway. */
  readonly startAt: number;
  /** Reads the records after `position`, a bounded part of the file in memory at a time. @throws Error when it cannot be read */
  records(position: number): Iterable<LeftRecord>;
}

/** All files of one Python gateway. */
export interface LeftBacklog {
  readonly folder: string;
  /** In the order in which they were written. */
  readonly files: readonly LeftFile[];
  /** Files of the same store without records; set aside with the others at the end. */
  readonly others: readonly string[];
  /** What was found to be odd. */
  readonly warnings: readonly string[];
}
