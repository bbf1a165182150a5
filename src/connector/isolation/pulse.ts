import type { Clock } from "#sdk/clock";

/** The thread shows life this often. */
const BEAT_MS = 500;
/** The collection thread looks this often, and so often while there is no beat: a loop that allocates fills a board's memory in a second. */
const LOOK_MS = 500;
const CLOSE_LOOK_MS = 100;
/** Room for the name of the converter at work, in UTF-8. */
const NAME_BYTES = 256;
const HEADER_BYTES = 12;

/** Memory both threads see: a counter, the size of the heap in KiB, the length of a name, the name. */
export type PulseMemory = SharedArrayBuffer;

const BEATS = 0;
const HEAP = 1;
const NAME = 2;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Makes the memory that both sides are given. */
export function pulseMemory(): PulseMemory {
  return new SharedArrayBuffer(HEADER_BYTES + NAME_BYTES);
}

/** In the thread: beats while its event loop turns, and tells how much memory it uses. */
export class Pulse implements Disposable {
  readonly #clock: Clock;
  readonly #heapBytes: () => number;
  readonly #state: Int32Array;
  readonly #name: Uint8Array;
  #timer: Disposable;
  #lastName = "";

  constructor(memory: PulseMemory, clock: Clock, heapBytes: () => number) {
    this.#clock = clock;
    this.#heapBytes = heapBytes;
    this.#state = new Int32Array(memory, 0, 3);
    this.#name = new Uint8Array(memory, HEADER_BYTES);
    this.#timer = this.#beat();
  }

  /** Notes what is at work, for the message of a hang; "" for nothing. Cheap when it is the same as before. */
  at(name: string): void {
    if (name !== this.#lastName) {
      this.#lastName = name;
      const { written } = encoder.encodeInto(name, this.#name);
      Atomics.store(this.#state, NAME, written);
    }
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #beat(): Disposable {
    Atomics.store(this.#state, HEAP, Math.ceil(this.#heapBytes() / 1024));
    Atomics.add(this.#state, BEATS, 1);
    return this.#clock.timer(BEAT_MS, () => {
      this.#timer = this.#beat();
    });
  }
}

/** When a thread is ended. */
export interface PulseLimits {
  /** It shows no life for so long. */
  readonly silentMs: number;
  /** Its heap is larger, or the process has grown by so much since its last sign of life. */
  readonly memoryBytes: number;
}

/** What the monitor needs of its surroundings. */
export interface PulseMonitorOptions {
  readonly clock: Clock;
  readonly limits: PulseLimits;
  /** Memory of the whole process. */
  readonly residentBytes: () => number;
  /** Called at each look at a thread that lives. */
  readonly onLook: () => void;
  /** Called once, with why the thread must be ended. */
  readonly onProblem: (problem: string) => void;
}

/** In the collection thread: tells when a thread is silent for too long, or takes too much memory. */
export class PulseMonitor implements Disposable {
  readonly #options: PulseMonitorOptions;
  readonly #state: Int32Array;
  readonly #name: Uint8Array;
  #timer: Disposable;
  #beats: number;
  #silentMs = 0;
  /** Of the process, when the thread last showed life. */
  #residentBytes: number;
  /** The beats of those that may have filled the memory instead, when it was seen to be full. */
  #others: ReadonlyMap<PulseMonitor, number> | undefined;
  /** All threads that are looked at: memory is the process's, so of several that are silent one must be chosen. */
  static readonly #all = new Set<PulseMonitor>();

  constructor(memory: PulseMemory, options: PulseMonitorOptions) {
    this.#options = options;
    this.#state = new Int32Array(memory, 0, 3);
    this.#name = new Uint8Array(memory, HEADER_BYTES);
    this.#beats = this.#beatsNow;
    this.#residentBytes = options.residentBytes();
    this.#timer = this.#next(LOOK_MS);
    PulseMonitor.#all.add(this);
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    PulseMonitor.#all.delete(this);
  }

  #next(delayMs: number): Disposable {
    return this.#options.clock.timer(delayMs, () => this.#look(delayMs));
  }

  /** The time between looks is added up, not measured: while the machine or this thread slept, the other may have had no chance. */
  #look(sinceMs: number): void {
    const beats = this.#beatsNow;
    const isAlive = beats !== this.#beats;
    this.#beats = beats;
    this.#silentMs = isAlive ? 0 : this.#silentMs + sinceMs;
    const residentBytes = this.#options.residentBytes();
    if (isAlive) {
      this.#residentBytes = residentBytes;
      this.#options.onLook();
    }
    const problem = this.#problem(residentBytes);
    if (problem !== undefined) {
      this[Symbol.dispose]();
      this.#options.onProblem(problem);
      return;
    }
    // One look without a beat in between is nothing: both have the same period.
    this.#timer = this.#next(this.#silentMs > LOOK_MS ? CLOSE_LOOK_MS : LOOK_MS);
  }

  #problem(residentBytes: number): string | undefined {
    const { silentMs, memoryBytes } = this.#options.limits;
    const heap = Atomics.load(this.#state, HEAP) * 1024;
    if (heap > memoryBytes) {
      return `it uses ${megabytes(heap)} MB of memory, more than ${megabytes(memoryBytes)} MB`;
    }
    if (this.#isGrowing(residentBytes) && this.#fellSilentLast()) {
      for (const other of PulseMonitor.#all) {
        other.#residentBytes = residentBytes; // What grows from here on is another matter.
      }
      return `it does not come back${this.#at()} and has taken more than ${megabytes(memoryBytes)} MB of memory`;
    }
    return this.#silentMs >= silentMs
      ? `it has shown no sign of life for ${Math.round(silentMs / 1000)} s${this.#at()}`
      : undefined;
  }

  #isGrowing(residentBytes: number): boolean {
    const grownBytes = residentBytes - this.#residentBytes;
    const isGrowing = this.#silentMs > LOOK_MS && grownBytes > this.#options.limits.memoryBytes;
    if (!isGrowing) {
      this.#others = undefined;
    }
    return isGrowing;
  }

  /** A loop that only loops was silent before the process grew: every thread that was alive then has to show life first. */
  #fellSilentLast(): boolean {
    this.#others ??= new Map(
      [...PulseMonitor.#all]
        .filter((other) => other !== this && other.#silentMs < this.#silentMs)
        .map((other) => [other, other.#beatsNow]),
    );
    return [...this.#others].every(
      ([other, beats]) => !PulseMonitor.#all.has(other) || other.#beatsNow !== beats,
    );
  }

  get #beatsNow(): number {
    return Atomics.load(this.#state, BEATS);
  }

  #at(): string {
    const length = Atomics.load(this.#state, NAME);
    const name = decoder.decode(this.#name.slice(0, length));
    return name === "" ? "" : `, last in converter "${name}"`;
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
