import { type BootInfo, readBoot } from "#platform/boot";
import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import { type EpochMs, epochMs } from "#sdk/model";
import {
  type Boot,
  type Boots,
  hasJournal,
  NOTE_EVERY_MS,
  provisionalTime,
  readJournal,
  withBoot,
  writeJournal,
} from "../delivery/boot-journal.ts";

const LOOK_EVERY_MS = 1000;

/** What a clock for stamps is made from. */
export interface StampClockOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly dataDir: string;
  /** Epoch milliseconds at which the program was built: an earlier time cannot be right. */
  readonly buildMs: number;
  /** Default: what the kernel says. */
  readonly boot?: BootInfo;
}

/** Where samples get their time. */
export interface StampClock extends Disposable {
  /** As the clock it was made from, but `now` is provisional until the time is known. */
  readonly clock: Clock;
  /** Whether the time is known. */
  readonly isSet: boolean;
}

/**
 * The clock for the stamps of samples. When the time is known already it is the clock that was given, at no cost. Until then a
 * sample carries the number of the boot and the time since it as a provisional time, which `delivery/late-stamps`
 * replaces once the real time of the boot is in the journal.
 */
export function openStampClock(options: StampClockOptions): StampClock {
  const { clock, buildMs, dataDir, log } = options;
  const isSet = clock.now() >= buildMs;
  if (isSet && !hasJournal(dataDir)) {
    return { clock, isSet, [Symbol.dispose]: () => undefined };
  }
  const unset = new UnsetClock(options, isSet);
  unset.look();
  if (!isSet && unset.hasFailed) {
    // Without the journal nobody could ever tell what a provisional time means.
    unset[Symbol.dispose]();
    log.error("The clock is not set and nothing can be noted about it: data gets wrong times");
    return { clock, isSet, [Symbol.dispose]: () => undefined };
  }
  if (!isSet) {
    log.warn("The clock is not set: data is stored and sent once the time is known");
  }
  return unset;
}

class UnsetClock implements StampClock {
  readonly clock: Clock;
  readonly #options: StampClockOptions;
  /** Of the boot, on the monotonic clock. */
  readonly #zeroMs: number;
  #boots: Boots;
  #boot: Boot;
  #isSet: boolean;
  #isSettled = false;
  #isSaid: boolean;
  hasFailed = false;
  #notedMs = Number.NEGATIVE_INFINITY;
  #timer: Disposable | undefined;

  constructor(options: StampClockOptions, isSet: boolean) {
    const { clock, dataDir } = options;
    this.#isSet = isSet;
    this.#isSaid = isSet;
    const boot = options.boot ?? readBoot();
    this.#options = options;
    this.#zeroMs = clock.monotonicMs() - boot.uptimeMs;
    const { boots, boot: entry } = withBoot(readJournal(dataDir), boot);
    this.#boots = boots;
    this.#boot = entry;
    this.clock = {
      now: () => this.#now(),
      monotonicMs: () => clock.monotonicMs(),
      sleep: (durationMs, signal) => clock.sleep(durationMs, signal),
      deadline: (durationMs, signal) => clock.deadline(durationMs, signal),
      timer: (durationMs, callback) => clock.timer(durationMs, callback),
    };
  }

  get isSet(): boolean {
    return this.#isSet;
  }

  /** Looks whether the time has come, and again each second until it is in the journal. */
  look(): void {
    const { clock, log } = this.#options;
    this.#now();
    const offsetMs = clock.monotonicMs() - this.#zeroMs;
    if (this.#isSet) {
      this.#isSettled = this.#note({ lastMs: offsetMs, startMs: clock.now() - offsetMs });
      if (!this.#isSaid) {
        this.#isSaid = true;
        log.info("The clock is set");
      }
    } else if (offsetMs - this.#notedMs >= NOTE_EVERY_MS && this.#note({ lastMs: offsetMs })) {
      this.#notedMs = offsetMs;
    }
    if (!this.#isSettled) {
      this.#timer = clock.timer(LOOK_EVERY_MS, () => this.look());
    }
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#isSettled = true;
  }

  #now(): EpochMs {
    const { clock, buildMs } = this.#options;
    const now = clock.now();
    if (this.#isSet || now >= buildMs) {
      this.#isSet = true;
      return now;
    }
    return provisionalTime(this.#boot, epochMs(clock.monotonicMs() - this.#zeroMs));
  }

  /** Writes what is known about this boot; the time of its start is written once and stays. */
  #note(change: { readonly lastMs: number; readonly startMs?: number }): boolean {
    const startMs = this.#boot.startMs ?? change.startMs;
    const boot = { ...this.#boot, ...change, ...(startMs === undefined ? {} : { startMs }) };
    const boots = [...this.#boots.filter(({ number }) => number !== boot.number), boot];
    try {
      writeJournal(this.#options.dataDir, boots);
    } catch (error) {
      if (!this.hasFailed) {
        this.#options.log.warn("Cannot write the journal of starts; trying again", { error });
      }
      this.hasFailed = true;
      return false;
    }
    this.#boots = boots;
    this.#boot = boot;
    this.hasFailed = false;
    return true;
  }
}
