import { Alarm } from "#sdk/alarm";
import { backoffMs } from "#sdk/backoff";
import type { EncodedRecord } from "#sdk/batch";
import type { Clock } from "#sdk/clock";
import { RejectedError, TransientError } from "#sdk/errors";
import { type Logger, rateLimited } from "#sdk/logger";
import type { DeviceData, EpochMs, ReportStrategy } from "#sdk/model";
import type { DeviceStates } from "./device-states.ts";
import type { RecordSink } from "./record-sink.ts";
import {
  type CacheCounters,
  type CacheLimits,
  type Passed,
  type Report,
  ReportCache,
} from "./report-cache.ts";
import { reportRecords } from "./report-records.ts";
import { completed, DEFAULT_STRATEGY, passesAll, type Strategy } from "./report-strategy.ts";
import { Sieve } from "./sieve.ts";

/** Reason of a value that equals the one before it, under ON_CHANGE. */
export const ON_CHANGE = "on-change";
/** Reason of a value that waited for the end of a period until a newer one took its place. */
export const REPORT_PERIOD = "report-period";

/** About 18 MB of numbers under ON_CHANGE, 53 MB with a period each, see the README. */
const LIMITS: CacheLimits = { keys: 250_000, chars: 16 * 1024 * 1024 };
/** Most values in one append, so that a report never is more than a few hundred KiB. */
const MAX_VALUES = 2000;
/** Periods that end within this time are reported together. */
const TOGETHER_MS = 10;
/** How long a stop, or a change of the configuration, waits for the values that are held back to be stored. */
const FLUSH_MS = 2000;

/** What the main file says about reports. */
export interface ReportSettings {
  /** DISABLED here switches the strategies of all levels off. */
  readonly gateway: Strategy;
  /** "sample": a period sends the newest sample with its time. "sent": as the Python gateway, the last value with the time it is sent. */
  readonly repeatTimestamp: "sample" | "sent";
  /** How often keys past their `ttl` are forgotten. */
  readonly cleanupMs: number;
}

/** As without any configuration: every value goes up. */
export const DEFAULT_REPORTS: ReportSettings = {
  gateway: DEFAULT_STRATEGY,
  repeatTimestamp: "sample",
  cleanupMs: 3_600_000,
};

/** Where data comes from: the connector and its own strategy. */
export interface ReportSource {
  readonly id: string;
  /** As the platform is told of it where entries carry times. */
  readonly name?: string;
  readonly strategy?: ReportStrategy | undefined;
}

/** What the reports count since the start of the gateway. */
export interface ReportCounters extends CacheCounters {
  /** Values that a period has sent. */
  reports: number;
}

/** What the reports need of their surroundings. */
export interface ReportsOptions {
  readonly clock: Clock;
  readonly sink: RecordSink;
  readonly log: Logger;
  /** The time of a value that is sent with the time it is sent. */
  readonly stamp: (deviceName: string, keys: readonly string[]) => EpochMs;
  /** Told how many records of a connector a period has brought into the store. */
  readonly onReported?: ((connectorId: string, records: number) => void) | undefined;
  readonly settings?: ReportSettings | undefined;
  readonly limits?: CacheLimits | undefined;
}

/**
 * The report strategies of all levels: decides what goes up at once, and sends what a period holds back. One report is on its
 * way to the store at a time; while the store makes it wait, newer samples take the place of older ones.
 */
export class Reports implements AsyncDisposable {
  readonly #options: ReportsOptions;
  readonly #log: Logger;
  readonly #alarm: Alarm;
  readonly #stop = new AbortController();
  #settings: ReportSettings;
  #cache: ReportCache;
  #reports = 0;
  /** Evictions from this cache that have been said. */
  #evicted = 0;
  /** Of caches before this one. */
  #earlier = { evicted: 0, periodsWithoutSample: 0 };
  #running: Promise<void> | undefined;
  #cleanup: Disposable | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: ReportsOptions) {
    this.#options = options;
    this.#log = rateLimited(options.log, options.clock);
    this.#alarm = new Alarm(options.clock, () => this.#ring());
    this.#settings = options.settings ?? DEFAULT_REPORTS;
    this.#cache = this.#newCache();
  }

  get counters(): ReportCounters {
    const { keys, evicted, periodsWithoutSample } = this.#cache.counters;
    return {
      keys,
      evicted: evicted + this.#earlier.evicted,
      periodsWithoutSample: periodsWithoutSample + this.#earlier.periodsWithoutSample,
      reports: this.#reports,
    };
  }

  /** The strategy of the keys of `data` without one of their own; `undefined` when every value passes. Allocates nothing then. */
  strategyOf(source: ReportSource, data: DeviceData): Strategy | undefined {
    const { gateway } = this.#settings;
    if (gateway.type === "DISABLED" || this.#stopped !== undefined) {
      return undefined; // After a stop nobody would send what waits.
    }
    if (source.strategy === undefined && data.strategy === undefined) {
      return data.keyStrategies === undefined && passesAll(gateway.type) ? undefined : gateway;
    }
    const base = completed(data.strategy, completed(source.strategy, gateway));
    return data.keyStrategies === undefined && passesAll(base.type) ? undefined : base;
  }

  /** A sieve for the values of one device. `passed` gathers what to `confirm` or `undo` at the end of the call. */
  sieve(
    source: ReportSource,
    data: DeviceData,
    { base, deviceType, passed }: { base: Strategy; deviceType: string; passed: Passed[] },
  ): Sieve {
    const cache = this.#cache;
    let device: DeviceStates | undefined;
    return new Sieve(cache, {
      open: () => {
        device ??= cache.open(source.id, data.deviceName, deviceType);
        return device;
      },
      base,
      keyStrategies: data.keyStrategies,
      nowMs: this.#options.clock.monotonicMs(),
      passed,
    });
  }

  /** What was let through is in the store. */
  confirm(passed: readonly Passed[]): void {
    this.#cache.confirm(passed);
    this.#countSuperseded();
  }

  /** What was let through is not in the store: the next values of these keys are sent. */
  undo(passed: readonly Passed[]): void {
    this.#cache.undo(passed);
  }

  /** After values were sifted: counts what was superseded, and sees to it that periods end. */
  settle(): void {
    const { keys, evicted } = this.#cache.counters;
    if (evicted > this.#evicted) {
      this.#evicted = evicted;
      this.#log.warn("Too many keys have a report strategy: those seen longest ago are forgotten", {
        keys,
        evicted: this.counters.evicted,
      });
      this.#storeWithoutWaiting(this.#cache.takeHomeless());
    }
    this.#countSuperseded();
    this.#arm();
  }

  /**
   * Takes other settings. A change of the gateway's strategy or of the timestamps makes every key unknown, as a start does; what
   * periods hold back is sent first. Resolves when that is stored, within 2 s.
   */
  async configure(settings: ReportSettings): Promise<void> {
    const before = this.#settings;
    this.#settings = settings;
    this.#cleanup?.[Symbol.dispose]();
    this.#cleanup = undefined;
    if (
      before.repeatTimestamp === settings.repeatTimestamp &&
      isSameStrategy(before.gateway, settings.gateway)
    ) {
      this.#arm();
      return;
    }
    await this.#replaceCache(this.#deadline());
  }

  /** Forgets a connector that is gone or has another configuration; what periods hold back is sent first. Resolves within 2 s. */
  async forget(connectorId: string): Promise<void> {
    const held = [...this.#cache.takeHeld(connectorId)];
    this.#cache.drop(connectorId);
    this.#countSuperseded();
    await this.#store(held, this.#deadline());
  }

  /** Forgets a device that is gone from the platform: if it comes again, its first values go up. */
  forgetDevice(deviceName: string): void {
    this.#cache.dropDevice(deviceName);
    this.#countSuperseded();
  }

  /** Sends what periods hold back, for at most 2 s. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped ??= this.#stopOnce();
    await this.#stopped;
  }

  async #stopOnce(): Promise<void> {
    const { clock } = this.#options;
    this.#alarm[Symbol.dispose]();
    this.#cleanup?.[Symbol.dispose]();
    using _deadline = clock.timer(FLUSH_MS, () =>
      this.#stop.abort(new TransientError("The gateway is stopping")),
    );
    await this.#running;
    await this.#replaceCache(this.#stop.signal);
  }

  #deadline(): AbortSignal {
    return this.#options.clock.deadline(FLUSH_MS, this.#stop.signal);
  }

  async #replaceCache(signal: AbortSignal): Promise<void> {
    const { counters } = this;
    const held = [...this.#cache.takeHeld()];
    this.#countSuperseded();
    this.#earlier = counters;
    this.#evicted = 0;
    this.#cache.drop();
    this.#cache = this.#newCache();
    await this.#store(held, signal);
  }

  #newCache(): ReportCache {
    const cache = new ReportCache(this.#options.limits ?? LIMITS);
    cache.repeats = this.#settings.repeatTimestamp === "sent";
    return cache;
  }

  #arm(): void {
    if (this.#stopped !== undefined) {
      return;
    }
    const { nextDueMs, counters } = this.#cache;
    if (nextDueMs !== undefined && this.#running === undefined) {
      this.#alarm.at(Math.ceil(nextDueMs / TOGETHER_MS) * TOGETHER_MS);
    }
    if (counters.keys > 0 && this.#cleanup === undefined) {
      this.#cleanup = this.#options.clock.timer(this.#settings.cleanupMs, () => {
        this.#cleanup = undefined;
        this.#cache.sweep(this.#options.clock.monotonicMs());
        this.#arm();
      });
    }
  }

  #ring(): void {
    this.#running ??= this.#reportDue().finally(() => {
      this.#running = undefined;
      this.#arm();
    });
  }

  /** Sends whatever is due, in pieces; ends when nothing is. Never rejects. */
  async #reportDue(): Promise<void> {
    for (;;) {
      const due = this.#cache.takeDue(this.#options.clock.monotonicMs(), MAX_VALUES);
      this.#countSuperseded();
      if (due.length === 0) {
        return;
      }
      await this.#store(due, this.#stop.signal);
    }
  }

  /** Stores reports, in pieces, however often the store refuses, until `signal` aborts. Never rejects. */
  async #store(reports: readonly Report[], signal: AbortSignal): Promise<void> {
    for (let start = 0; start < reports.length; start += MAX_VALUES) {
      await this.#storePiece(reports.slice(start, start + MAX_VALUES), signal);
    }
  }

  async #storePiece(piece: readonly Report[], signal: AbortSignal): Promise<void> {
    const { clock, sink } = this.#options;
    let left = piece;
    for (let attempt = 1; left.length > 0; attempt += 1) {
      try {
        await sink.append(this.#encode(left), { urgent: false }, signal);
        this.#count(left);
        return;
      } catch (error) {
        if (error instanceof RejectedError) {
          return; // The store is full and keeps what it has; it has counted them.
        }
        if (signal.aborted) {
          this.#log.error("Cannot store what report periods hold back", {
            values: left.length,
            error,
          });
          sink.countFiltered(REPORT_PERIOD, left.length);
          return;
        }
        this.#log.warn("Cannot store reports; trying again", { error });
      }
      await clock.sleep(backoffMs(attempt, Math.random()), signal).catch(() => undefined);
      left = this.#withoutOutdated(left);
    }
  }

  /** An attribute has no time: an old value must not come to the platform after a newer one. */
  #withoutOutdated(reports: readonly Report[]): readonly Report[] {
    const left = reports.filter((report) => report.kind === "telemetry" || !report.isOutdated());
    if (left.length < reports.length) {
      this.#options.sink.countFiltered(REPORT_PERIOD, reports.length - left.length);
    }
    return left;
  }

  /** For values whose place is needed at once. What the store has no room for is counted. */
  #storeWithoutWaiting(reports: readonly Report[]): void {
    if (reports.length === 0) {
      return;
    }
    const { sink } = this.#options;
    const onLost = (error: unknown): void => {
      if (error instanceof RejectedError) {
        return; // Counted by the store.
      }
      sink.countFiltered(REPORT_PERIOD, reports.length);
      this.#log.error("Cannot store what report periods hold back", {
        values: reports.length,
        error,
      });
    };
    if (sink.tryAppend(this.#encode(reports), onLost)) {
      this.#count(reports);
    } else {
      sink.countFiltered(REPORT_PERIOD, reports.length);
    }
  }

  #encode(reports: readonly Report[]): readonly EncodedRecord[] {
    return reportRecords(reports, this.#options.stamp);
  }

  #count(reports: readonly Report[]): void {
    this.#reports += reports.length;
    const { onReported } = this.#options;
    if (onReported !== undefined) {
      for (const [id, own] of Map.groupBy(reports, ({ device }) => device.connectorId)) {
        const records = new Set(
          own.map(({ device, kind, ts }) => `${kind} ${ts} ${device.deviceName}`),
        );
        onReported(id, records.size);
      }
    }
  }

  #countSuperseded(): void {
    const superseded = this.#cache.takeSuperseded();
    if (superseded > 0) {
      this.#options.sink.countFiltered(REPORT_PERIOD, superseded);
    }
  }
}

function isSameStrategy(left: Strategy, right: Strategy): boolean {
  return (
    left.type === right.type && left.reportPeriod === right.reportPeriod && left.ttl === right.ttl
  );
}
