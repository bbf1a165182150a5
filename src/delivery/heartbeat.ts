import type { Clock } from "#sdk/clock";

/** The collection thread shows life this often. */
const BEAT_MS = 1000;
/** The delivery thread looks this often, so that an idle gateway seldom wakes. */
const LOOK_MS = 5000;
/** So many looks in a row without a beat mean that the collection thread hangs: 60 s. */
const MISSED_LOOKS = 12;
/** Room for the name of the connector at work, in UTF-8. */
const NAME_BYTES = 256;

/** Memory both threads see: a counter, the length of a name, the name. */
export type HeartbeatMemory = SharedArrayBuffer;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Makes the memory that both sides are given. */
export function heartbeatMemory(): HeartbeatMemory {
  return new SharedArrayBuffer(8 + NAME_BYTES);
}

/** The collection side: beats while its event loop turns. */
export class Heart implements Disposable {
  readonly #clock: Clock;
  readonly #state: Int32Array;
  readonly #name: Uint8Array;
  #timer: Disposable;
  #lastName = "";

  constructor(memory: HeartbeatMemory, clock: Clock) {
    this.#clock = clock;
    this.#state = new Int32Array(memory, 0, 2);
    this.#name = new Uint8Array(memory, 8);
    this.#timer = this.#next();
  }

  /** Notes who is at work, for the message of a hang. Cheap when it is the same as before. */
  at(name: string): void {
    if (name !== this.#lastName) {
      this.#lastName = name;
      const { written } = encoder.encodeInto(name, this.#name);
      Atomics.store(this.#state, 1, written);
    }
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #next(): Disposable {
    return this.#clock.timer(BEAT_MS, () => {
      Atomics.add(this.#state, 0, 1);
      this.#timer = this.#next();
    });
  }
}

/** The delivery side: calls `onHang` once, with who was at work last, when the heart has stopped for a minute. */
export class HeartMonitor implements Disposable {
  readonly #clock: Clock;
  readonly #state: Int32Array;
  readonly #name: Uint8Array;
  readonly #onHang: (at: string) => void;
  #timer: Disposable;
  #last: number;
  #missed = 0;

  constructor(memory: HeartbeatMemory, clock: Clock, onHang: (at: string) => void) {
    this.#clock = clock;
    this.#state = new Int32Array(memory, 0, 2);
    this.#name = new Uint8Array(memory, 8);
    this.#onHang = onHang;
    this.#last = Atomics.load(this.#state, 0);
    this.#timer = this.#next();
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #next(): Disposable {
    return this.#clock.timer(LOOK_MS, () => this.#look());
  }

  /** Looks are counted, not time: a machine that slept wakes both threads, and no look was missed meanwhile. */
  #look(): void {
    const beats = Atomics.load(this.#state, 0);
    this.#missed = beats === this.#last ? this.#missed + 1 : 0;
    this.#last = beats;
    if (this.#missed >= MISSED_LOOKS) {
      const length = Atomics.load(this.#state, 1);
      this.#onHang(decoder.decode(this.#name.slice(0, length)));
      return;
    }
    this.#timer = this.#next();
  }
}
