import type { PacketName } from "./packets.ts";

/** One control packet that crossed the wire. */
export interface TranscriptEntry {
  /** Counts all packets of the server from 1, also those no longer kept. */
  readonly index: number;
  /** Monotonic time in ms. */
  readonly atMs: number;
  /** Number of the connection, from 1. */
  readonly connection: number;
  /** `in` came from the client, `out` went to it. */
  readonly direction: "in" | "out";
  readonly packet: PacketName;
  /** All bytes of the packet. */
  readonly bytes: Buffer;
}

/** Bytes kept at most; the oldest packets go first. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Packets kept at most. */
const MAX_PACKETS = 50_000;

/** The packets of all connections in the order they were handled. Bounded: 16 MiB or 50,000 packets, newest kept. */
export class Transcript {
  #entries: TranscriptEntry[] = [];
  #dropped = 0;
  #bytes = 0;
  #index = 0;

  /** Adds a packet; its bytes are copied. */
  add(entry: Omit<TranscriptEntry, "index">): void {
    this.#index += 1;
    const bytes = Buffer.from(entry.bytes);
    this.#entries.push({ ...entry, bytes, index: this.#index });
    this.#bytes += bytes.length;
    while (this.#bytes > MAX_BYTES || this.#entries.length - this.#dropped > MAX_PACKETS) {
      this.#bytes -= this.#entries[this.#dropped]?.bytes.length ?? 0;
      this.#dropped += 1;
    }
    // Dropped entries are cut off in bulk, which keeps the cost of an add constant on average.
    if (this.#dropped * 2 > this.#entries.length) {
      this.#entries = this.entries().slice();
      this.#dropped = 0;
    }
  }

  /** The kept packets, oldest first. */
  entries(): readonly TranscriptEntry[] {
    return this.#entries.slice(this.#dropped);
  }

  /** Forgets all packets. */
  clear(): void {
    this.#entries = [];
    this.#dropped = 0;
    this.#bytes = 0;
  }
}
