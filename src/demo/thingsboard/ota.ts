import { DataError } from "#sdk/errors";
import type { Device } from "./model.ts";
import type { Outcome } from "./outcome.ts";
import { REASON } from "./packets.ts";

/** Largest chunk the server sends. */
const MAX_CHUNK_SIZE = 65_536;

/** The connection as package downloads need it. */
export interface OtaLink {
  readonly device: Device;
  publish(topic: string, payload: string | Buffer): void;
  close(code: number): void;
}

/** Serves firmware and software packages in chunks. */
export class OtaChunks {
  readonly #link: OtaLink;
  readonly #sizes = new Map<string, number>();

  constructor(link: OtaLink) {
    this.#link = link;
  }

  /**
   * Answers the request for a chunk. Its payload is the chunk size in bytes as text; empty repeats the size that was
   * given for the same request id, without one the whole package is a single chunk. A chunk past the end is empty.
   * @throws DataError with reason `uncaught` for a size that is no number.
   */
  handle(
    topic: { readonly package: "fw" | "sw"; readonly request: string; readonly chunk: number },
    publish: { readonly text: string; readonly outcome: Outcome },
  ): void {
    const text = publish.text.trim();
    if (text !== "" && !/^\d+$/.test(text)) {
      throw new DataError(`Cannot take "${text}" as a chunk size`, { reason: "uncaught" });
    }
    const size = text === "" ? (this.#sizes.get(topic.request) ?? 0) : Number(text);
    publish.outcome.accept();
    const data = this.#link.device.packages.get(topic.package)?.data;
    if (data === undefined || size > MAX_CHUNK_SIZE) {
      const error = data === undefined ? "NOT_FOUND" : "PAYLOAD_TOO_LARGE";
      // The error topic is the firmware one for software too.
      this.#link.publish("v2/fw/error", error);
      this.#link.close(REASON.IMPLEMENTATION_SPECIFIC);
      return;
    }
    this.#sizes.set(topic.request, size);
    const chunkSize = size === 0 ? data.length : size;
    const start = topic.chunk * chunkSize;
    const bytes = Buffer.from(data.subarray(start, start + chunkSize));
    this.#link.publish(`v2/${topic.package}/response/${topic.request}/chunk/${topic.chunk}`, bytes);
  }
}
