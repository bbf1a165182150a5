/** What is used of a stream's reader. */
export interface ByteReader {
  read(): Promise<{ readonly value?: Uint8Array | undefined; readonly done: boolean }>;
  cancel(): Promise<void>;
}

/** Hands each chunk on until the stream ends. Returns the error that ended it, `undefined` when it came to its end. */
export async function readToEnd(
  reader: ByteReader,
  onData: (chunk: Uint8Array) => void,
): Promise<unknown> {
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done || value === undefined) {
        return undefined;
      }
      onData(value);
    }
  } catch (error) {
    return error;
  }
}
