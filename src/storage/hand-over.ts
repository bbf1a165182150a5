import { BatchWriter, readBatch } from "#sdk/batch";
import type { BlockState } from "./block-state.ts";

/** What waits is given away in batches of about this size. */
const BATCH_CHARACTERS = 256 * 1024;

/** Records that wait, as one batch. */
export interface HandedOver {
  readonly text: Uint8Array;
  readonly records: number;
  readonly values: number;
}

/** The records of blocks that still wait, in large batches: a disk that takes them syncs each one. */
export function* handedOver(
  blocks: Iterable<{ readonly state: BlockState; readonly text: Uint8Array }>,
): Generator<HandedOver> {
  let writer = new BatchWriter();
  const taken = (): HandedOver => {
    const { records, values } = writer;
    const text = writer.take();
    writer = new BatchWriter();
    return { text, records, values };
  };
  for (const { state, text } of blocks) {
    for (const [index, record] of readBatch(text).entries()) {
      if (!state.isDone(index)) {
        writer.add(record);
      }
    }
    if (writer.length >= BATCH_CHARACTERS) {
      yield taken();
    }
  }
  if (writer.records > 0) {
    yield taken();
  }
}
