import type { EncodedRecord } from "#sdk/batch";

/** Where encoded records and counts go: the client of the delivery thread. */
export interface RecordSink {
  append(
    records: readonly EncodedRecord[],
    options: { readonly urgent: boolean },
    signal: AbortSignal,
  ): Promise<void>;
  tryAppend(records: readonly EncodedRecord[], onLost: (error: unknown) => void): boolean;
  countFiltered(reason: string, values: number): void;
  countRejected(reason: string, values: number): void;
}
