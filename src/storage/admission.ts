import { RejectedError } from "#sdk/errors";
import type { WhenFull } from "./event-store.ts";

/** What decides whether a batch may come in. Sizes in bytes. */
export interface Fill {
  readonly usedBytes: number;
  readonly maxBytes: number;
  /** Text of batches on their way to the disk. */
  readonly waitingBytes: number;
  readonly whenFull: WhenFull;
}

/** @throws RejectedError reason `store-full` when a batch of `bytes` cannot be taken, at this time or ever. */
export function requireRoom(bytes: number, fill: Fill): void {
  const { usedBytes, maxBytes, whenFull } = fill;
  const isFull = bytes > 0 && usedBytes >= maxBytes;
  if (bytes > maxBytes || (whenFull === "drop-newest" && isFull)) {
    throw new RejectedError(`Cannot store ${bytes} bytes: ${usedBytes} of ${maxBytes} are in use`, {
      reason: "store-full",
    });
  }
}

/** Whether a batch of `bytes` has to wait. Beside others it counts with its text, which is more than it will take; alone it may pass the limit. */
export function mustWait(bytes: number, fill: Fill): boolean {
  const { usedBytes, maxBytes, waitingBytes, whenFull } = fill;
  const takenBytes = usedBytes + (waitingBytes > 0 ? waitingBytes + bytes : 1);
  return whenFull === "wait" && bytes > 0 && takenBytes > maxBytes;
}
