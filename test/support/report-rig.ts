import type { RecordSink } from "../../src/pipeline/record-sink.ts";
import type { CacheLimits } from "../../src/pipeline/report-cache.ts";
import type { ReportSettings } from "../../src/pipeline/reports.ts";
import { Pipeline } from "../../src/pipeline/uplink.ts";
import type { EncodedRecord } from "../../src/sdk/batch.ts";
import { TransientError } from "../../src/sdk/errors.ts";
import type { DeviceData, EpochMs, Json, ReportStrategy, Values } from "../../src/sdk/model.ts";
import { epochMs } from "../../src/sdk/model.ts";
import { FakeClock } from "./fake-clock.ts";
import { memoryLog } from "./memory-log.ts";

const never = new AbortController().signal;
/** Times of a rig are milliseconds after this one. */
const START_MS = 1_700_000_000_000;

/** One value in the store. */
export interface StoredValue {
  /** When it was stored, in milliseconds since the start. */
  readonly atMs: number;
  readonly device: string;
  readonly kind: EncodedRecord["kind"];
  readonly key: string;
  /** Milliseconds since the start; `undefined` for an attribute. */
  readonly ts: number | undefined;
  readonly value: unknown;
}

/** A store that keeps values in a list, and an account as the delivery thread keeps it. */
class ListSink implements RecordSink {
  readonly stored: StoredValue[] = [];
  readonly records: EncodedRecord[] = [];
  readonly filtered: Record<string, number> = {};
  readonly rejected: Record<string, number> = {};
  received = 0;
  /** What the next appends are refused with. */
  failure: Error | undefined;
  /** Appends wait for it. */
  gate: Promise<void> | undefined;
  appends = 0;
  readonly #clock: FakeClock;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  async append(
    records: readonly EncodedRecord[],
    _options: { readonly urgent: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    this.appends += 1;
    await this.gate;
    if (this.failure !== undefined) {
      throw this.failure;
    }
    this.#keep(records);
  }

  tryAppend(records: readonly EncodedRecord[], onLost: (error: unknown) => void): boolean {
    if (this.gate !== undefined) {
      return false;
    }
    if (this.failure !== undefined) {
      onLost(this.failure);
      return true;
    }
    this.#keep(records);
    return true;
  }

  countFiltered(reason: string, values: number): void {
    this.received += values;
    this.filtered[reason] = (this.filtered[reason] ?? 0) + values;
  }

  countRejected(reason: string, values: number): void {
    this.received += values;
    this.rejected[reason] = (this.rejected[reason] ?? 0) + values;
  }

  #keep(records: readonly EncodedRecord[]): void {
    for (const record of records) {
      this.records.push(record);
      this.received += record.values;
      const json = JSON.parse(record.json) as { ts?: number; values?: Record<string, unknown> };
      const isTelemetry = record.kind === "telemetry";
      const values = isTelemetry ? (json.values ?? {}) : (json as Record<string, unknown>);
      for (const [key, value] of Object.entries(values)) {
        const ts = isTelemetry ? (json.ts ?? Number.NaN) - START_MS : undefined;
        const { device, kind } = record;
        this.stored.push({ atMs: this.#clock.monotonicMs(), device, kind, key, ts, value });
      }
    }
  }
}

/** What a rig may have otherwise. */
export interface ReportRigOptions {
  readonly gateway?: ReportStrategy;
  readonly connector?: ReportStrategy;
  readonly repeatTimestamp?: "sample" | "sent";
  readonly cleanupMs?: number;
  readonly limits?: CacheLimits;
}

/** A real pipeline in front of a store that is a list, on a clock that stands still. */
export class ReportRig {
  readonly clock = new FakeClock(START_MS);
  readonly sink = new ListSink(this.clock);
  readonly log = memoryLog();
  readonly pipeline: Pipeline;
  readonly #options: ReportRigOptions;

  constructor(options: ReportRigOptions = {}) {
    this.#options = options;
    this.pipeline = new Pipeline({
      clock: this.clock,
      sink: this.sink,
      log: this.log.log,
      onLost: () => undefined,
      reports: this.settings(options.gateway),
      reportLimits: options.limits,
    });
  }

  /** Settings with this strategy of the gateway. */
  settings(gateway: ReportStrategy = {}): ReportSettings {
    return {
      gateway: { type: "ON_RECEIVED", reportPeriod: 10_000, ttl: 86_400, ...gateway },
      repeatTimestamp: this.#options.repeatTimestamp ?? "sample",
      cleanupMs: this.#options.cleanupMs ?? 3_600_000,
    };
  }

  /** The way up of a connector. */
  uplink(id = "c") {
    return this.pipeline.uplinkOf(
      { onDevice: (_name, type = "default") => type },
      { id, strategy: this.#options.connector },
    );
  }

  /** Hands on telemetry that has arrived at this moment. */
  async telemetry(values: Values, more: Partial<DeviceData> & { readonly ts?: number } = {}) {
    const { ts, ...rest } = more;
    const entry = ts === undefined ? { values } : { ts: this.at(ts), values };
    return await this.uplink().accept({ deviceName: "d", telemetry: [entry], ...rest }, never);
  }

  /** Hands on attributes. */
  async attributes(attributes: Values, more: Partial<DeviceData> = {}) {
    return await this.uplink().accept({ deviceName: "d", attributes, ...more }, never);
  }

  /** A time of the rig on the wall clock. */
  at(ms: number): EpochMs {
    return epochMs(START_MS + ms);
  }

  /** Lets time pass until `ms` after the start. */
  async until(ms: number): Promise<void> {
    await this.clock.advance(ms - this.clock.monotonicMs());
  }

  /** Hands on values of key `k` at their times, then lets time pass until `endMs`. */
  async play(samples: readonly (readonly [number, Json])[], endMs: number, more = {}) {
    for (const [ms, value] of samples) {
      await this.until(ms);
      await this.telemetry({ k: value }, more);
    }
    await this.until(endMs);
  }

  /** Stored values as `[stored at, ts, value]`. */
  get reports(): readonly (readonly [number, number | undefined, unknown])[] {
    return this.sink.stored.map(({ atMs, ts, value }) => [atMs, ts, value] as const);
  }

  /** The store refuses from this moment on, or takes again. */
  refuse(isRefusing: boolean): void {
    this.sink.failure = isRefusing ? new TransientError("The disk refuses") : undefined;
  }
}
