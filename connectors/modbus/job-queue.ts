import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";

/** Who goes first: commands, writes of attributes, reads, and last the probes of devices that are down. */
export type Priority = "command" | "write" | "poll" | "probe";

/** One turn on a line. */
export interface Job {
  readonly priority: Priority;
  /** Milliseconds after which it is refused when it has not begun. */
  readonly expiresMs?: number | undefined;
  /** Never rejects. */
  run(): Promise<void>;
  refuse(error: Error): void;
}

interface Entry {
  readonly job: Job;
  readonly expiresAtMs: number;
  isGone: boolean;
}

/** Turns that may wait for a line; more than this is a line that cannot keep up with what is asked of it. */
const MAX_WAITING = 1000;
/** Part of the line's time that probes may take. */
const PROBE_SHARE = 0.1;

/** The turns that wait for one line, by priority and then by age. */
export class JobQueue {
  readonly #clock: Clock;
  readonly #lanes: Readonly<Record<Priority, Entry[]>> = {
    command: [],
    write: [],
    poll: [],
    probe: [],
  };
  #nextProbeMs = 0;
  #lastWasProbe = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds a turn; the function it returns takes it out again. @throws TransientError when too many wait */
  add(job: Job): () => void {
    const lane = this.#lanes[job.priority];
    if (lane.length >= MAX_WAITING) {
      throw new TransientError(`${MAX_WAITING} requests wait for this line already`);
    }
    const { expiresMs } = job;
    const expiresAtMs =
      expiresMs === undefined ? Number.POSITIVE_INFINITY : this.#clock.monotonicMs() + expiresMs;
    const entry = { job, expiresAtMs, isGone: false };
    lane.push(entry);
    return () => {
      entry.isGone = true;
    };
  }

  /**
   * The turn that is next, if there is one. A probe goes before reads when its share of the time allows it, or a busy line would
   * never find out that a device is back; between two probes there is one read.
   */
  take(): Job | undefined {
    const job =
      this.#first("command") ??
      this.#first("write") ??
      (this.#mayProbe() ? this.#first("probe") : undefined) ??
      this.#first("poll") ??
      (this.#clock.monotonicMs() >= this.#nextProbeMs ? this.#first("probe") : undefined);
    if (job !== undefined) {
      this.#lastWasProbe = job.priority === "probe";
    }
    return job;
  }

  /** How long the line must wait for a probe that is there but may not go yet; `undefined` when nothing waits. */
  waitMs(): number | undefined {
    return this.#lanes.probe.length === 0
      ? undefined
      : Math.max(0, this.#nextProbeMs - this.#clock.monotonicMs());
  }

  /** Told when a turn has ended. */
  done(job: Job, tookMs: number): void {
    if (job.priority === "probe") {
      this.#nextProbeMs = this.#clock.monotonicMs() + tookMs / PROBE_SHARE - tookMs;
    }
  }

  /** Refuses everything that waits. */
  refuseAll(error: Error): void {
    for (const lane of Object.values(this.#lanes)) {
      for (const { job, isGone } of lane.splice(0)) {
        if (!isGone) {
          job.refuse(error);
        }
      }
    }
  }

  #mayProbe(): boolean {
    return !this.#lastWasProbe && this.#clock.monotonicMs() >= this.#nextProbeMs;
  }

  #first(priority: Priority): Job | undefined {
    const lane = this.#lanes[priority];
    for (;;) {
      const entry = lane.shift();
      if (entry === undefined) {
        return undefined;
      }
      if (entry.isGone) {
        continue;
      }
      if (this.#clock.monotonicMs() > entry.expiresAtMs) {
        entry.job.refuse(new TransientError("the line was busy for too long"));
        continue;
      }
      return entry.job;
    }
  }
}
