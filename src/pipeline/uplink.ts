import type { Clock } from "#sdk/clock";
import type { AcceptResult, Uplink } from "#sdk/connector";
import { encodeValues } from "#sdk/encode";
import { RejectedError } from "#sdk/errors";
import { hasLatencyDigits, latencyEntry } from "#sdk/latency";
import type { Logger } from "#sdk/logger";
import type { DeviceData, EpochMs, TelemetryEntry } from "#sdk/model";
import { contentProblem, MAX_NAME_LENGTH, refusedValues } from "#sdk/record-shape";
import { FILTERED } from "./device-filter.ts";
import type { KeyKind } from "./device-states.ts";
import { addRecord, countValues, type Encoded, newEncoded } from "./encoded.ts";
import type { RecordSink } from "./record-sink.ts";
import type { CacheLimits } from "./report-cache.ts";
import {
  ON_CHANGE,
  REPORT_PERIOD,
  type ReportCounters,
  type ReportSettings,
  type ReportSource,
  Reports,
} from "./reports.ts";
import type { Sieve, Sifted } from "./sieve.ts";
import { Stamps } from "./stamps.ts";

/** What the pipeline needs of its surroundings. */
export interface PipelineOptions {
  /** For samples without a time. On a machine that does not know the time it gives provisional ones, see `delivery/README.md`. */
  readonly clock: Clock;
  readonly sink: RecordSink;
  readonly log: Logger;
  /** Data taken by `tryAccept` that could not be stored in the end. */
  readonly onLost: (error: unknown) => void;
  /** A report period has brought so many records of a connector into the store. */
  readonly onReported?: (connectorId: string, records: number) => void;
  /** Initial value of `latencyDebug`. Default: false. */
  readonly latencyDebug?: boolean | undefined;
  /** Default: every value goes up. */
  readonly reports?: ReportSettings | undefined;
  /** How much the report strategies remember. Default: 250,000 keys and 16 MiB of text. */
  readonly reportLimits?: CacheLimits | undefined;
}

/**
 * Told of a device that data came from, with the type the data names. Gives the type to store, or `undefined` when the device
 * filter keeps the device out: then nothing of it is stored.
 */
export type DeviceCallback = (
  deviceName: string,
  deviceType: string | undefined,
) => string | undefined;

/** Told what becomes of the data of one connector. */
export interface UplinkListener {
  /** Data of this device is about to be stored. */
  readonly onDevice: DeviceCallback;
  /** So many records are in the store, or on their way there for a source that does not wait. */
  readonly onStored?: (records: number) => void;
}

/** A connector, and who is told of its data. */
type Source = ReportSource & UplinkListener;

const STORED: AcceptResult = { status: "stored" };
const KEPT_OUT: AcceptResult = { status: "filtered", reason: FILTERED };
const UNCHANGED: AcceptResult = { status: "filtered", reason: ON_CHANGE };
const HELD: AcceptResult = { status: "filtered", reason: REPORT_PERIOD };

/**
 * The way up for all connectors: checks each record, stamps values without a time, encodes the values to JSON text once and
 * hands them to the store. Everything left out is counted.
 */
export class Pipeline implements AsyncDisposable {
  readonly #options: PipelineOptions;
  readonly #stamps = new Stamps();
  readonly #reports: Reports;
  /** Whether telemetry carries the times of its way, for the platform's latency statistics. May change at any time. */
  latencyDebug: boolean;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.latencyDebug = options.latencyDebug ?? false;
    const { clock, sink, log } = options;
    this.#reports = new Reports({
      clock,
      sink,
      log,
      stamp: (deviceName, keys) => this.#stamps.stamp(deviceName, keys, clock.now()),
      onReported: options.onReported,
      settings: options.reports,
      limits: options.reportLimits,
    });
  }

  /** The way up for one connector. `connector` says whose report strategies apply; by default the gateway's. */
  uplinkOf(listener: UplinkListener, connector: ReportSource = { id: "" }): Uplink {
    const source: Source = { ...listener, ...connector };
    return {
      accept: (data, signal, options) =>
        this.#accept(data, source, { signal, urgent: options?.urgent ?? false }),
      tryAccept: (data) => this.#tryAccept(data, source),
    };
  }

  /** What the report strategies count. */
  get reportCounters(): ReportCounters {
    return this.#reports.counters;
  }

  /**
   * Takes other settings for the report strategies while data goes on. A change of the gateway's strategy makes every key
   * unknown, as a start does; what report periods hold back is sent first. Resolves when that is stored, within 2 s.
   */
  async setStrategies(settings: ReportSettings): Promise<void> {
    await this.#reports.configure(settings);
  }

  /**
   * For a connector that was removed or gets another configuration: forgets what it sent. What its report periods hold back is
   * sent first; resolves when that is stored, within 2 s.
   */
  async forget(connectorId: string): Promise<void> {
    await this.#reports.forget(connectorId);
  }

  /** For a device that was deleted on the platform: if it comes again, its first values go up. */
  forgetDevice(deviceName: string): void {
    this.#reports.forgetDevice(deviceName);
  }

  /** After the connectors: sends what report periods hold back, for at most 2 s. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reports[Symbol.asyncDispose]();
  }

  async #accept(
    data: DeviceData | readonly DeviceData[],
    source: Source,
    { signal, urgent }: { readonly signal: AbortSignal; readonly urgent: boolean },
  ): Promise<AcceptResult> {
    signal.throwIfAborted();
    const encoded = this.#encodeAll(data, source);
    if (encoded.records.length === 0) {
      return filteredResult(encoded);
    }
    try {
      await this.#options.sink.append(encoded.records, { urgent }, signal);
    } catch (error) {
      this.#undo(encoded);
      if (error instanceof RejectedError) {
        return { status: "dropped", reason: error.reason };
      }
      throw error;
    }
    this.#confirm(encoded);
    source.onStored?.(encoded.records.length);
    return STORED;
  }

  #tryAccept(
    data: DeviceData,
    source: Source,
  ): { readonly status: "queued" | "filtered" | "overflow" } {
    const encoded = this.#encodeAll(data, source);
    if (encoded.records.length === 0) {
      return { status: "filtered" };
    }
    const { sink, onLost } = this.#options;
    const lost = (error: unknown): void => {
      this.#undo(encoded);
      if (!(error instanceof RejectedError)) {
        sink.countRejected("not-stored", encoded.values); // Nobody sends it again.
      }
      onLost(error);
    };
    if (!sink.tryAppend(encoded.records, lost)) {
      this.#undo(encoded);
      sink.countRejected("overflow", encoded.values);
      return { status: "overflow" };
    }
    this.#confirm(encoded);
    source.onStored?.(encoded.records.length);
    return { status: "queued" };
  }

  /** Data that the gateway itself has about devices: stored like theirs, but it is no sign of life. @throws TransientError */
  async acceptAbout(devices: readonly DeviceData[], signal: AbortSignal): Promise<void> {
    const encoded = newEncoded();
    for (const data of devices) {
      const { deviceName, deviceType = "" } = data;
      this.#encodeInto(encoded, data, { device: deviceName, deviceType });
    }
    this.#finish(encoded);
    await this.#options.sink.append(encoded.records, { urgent: false }, signal);
  }

  /** Data of the gateway's own device. @throws RejectedError when no value is left. */
  async acceptOwn(
    data: Pick<DeviceData, "attributes" | "telemetry">,
    signal: AbortSignal,
  ): Promise<AcceptResult> {
    const encoded = newEncoded();
    this.#encodeInto(encoded, { ...data, deviceName: "" }, { device: "", deviceType: "" });
    this.#finish(encoded);
    await this.#options.sink.append(encoded.records, { urgent: false }, signal);
    return STORED;
  }

  /** @throws RejectedError for the first invalid record; nothing of the call is stored then. */
  #encodeAll(data: DeviceData | readonly DeviceData[], source: Source): Encoded {
    const encoded = newEncoded(this.latencyDebug ? source.name : undefined);
    if (isList(data)) {
      // All names first: a strategy must not remember a value that is refused.
      for (const one of data) {
        this.#check(one, data);
      }
      for (const one of data) {
        this.#encodeDevice(encoded, one, source);
      }
    } else {
      this.#check(data, [data]);
      this.#encodeDevice(encoded, data, source);
    }
    this.#finish(encoded);
    return encoded;
  }

  /** Counts what was left out, and refuses a call in which nothing is left. */
  #finish(encoded: Encoded): void {
    if (encoded.badValues > 0) {
      this.#options.sink.countRejected("bad-value", encoded.badValues);
    }
    if (encoded.tooLarge > 0) {
      this.#options.sink.countRejected("too-large", encoded.tooLarge);
    }
    if (encoded.filtered > 0) {
      this.#options.sink.countFiltered(FILTERED, encoded.filtered);
    }
    if (encoded.passed !== undefined) {
      if (encoded.unchanged > 0) {
        this.#options.sink.countFiltered(ON_CHANGE, encoded.unchanged);
      }
      this.#reports.settle();
    }
    if (encoded.values + encoded.filtered + encoded.unchanged + encoded.held === 0) {
      throw this.#refuse(encoded.badValues + encoded.tooLarge > 0 ? undefined : "no-value", 1);
    }
  }

  /** All of `call` is refused with it. @throws RejectedError */
  #check(data: DeviceData, call: readonly DeviceData[]): void {
    const problem = contentProblem(data);
    if (problem !== undefined) {
      this.#options.sink.countRejected("bad-record", refusedValues(call));
      throw new RejectedError(`Cannot store a record: ${problem}`, { reason: "bad-record" });
    }
    const deviceName: unknown = data.deviceName;
    if (typeof deviceName !== "string" || deviceName.trim() === "") {
      throw this.#refuse("no-device-name", refusedValues(call));
    }
    if (deviceName.length > MAX_NAME_LENGTH) {
      throw this.#refuse("device-name-too-long", refusedValues(call));
    }
  }

  #encodeDevice(encoded: Encoded, data: DeviceData, source: Source): void {
    const { deviceName } = data;
    const deviceType = source.onDevice(deviceName, data.deviceType);
    if (deviceType === undefined) {
      // Data without any value counts as one.
      encoded.filtered += Math.max(1, countValues(data));
      return;
    }
    const base = this.#reports.strategyOf(source, data);
    if (base === undefined) {
      this.#encodeInto(encoded, data, { device: deviceName, deviceType });
    } else {
      encoded.passed ??= [];
      const { passed } = encoded;
      const sieve = this.#reports.sieve(source, data, { base, deviceType, passed });
      this.#siftInto(encoded, data, { sieve, deviceType });
    }
  }

  #encodeInto(
    encoded: Encoded,
    data: DeviceData,
    owner: { readonly device: string; readonly deviceType: string },
  ): void {
    const own = owner.device === "";
    if (data.attributes !== undefined) {
      const { text, count, rejected } = encodeValues(data.attributes);
      encoded.badValues += rejected;
      if (count > 0) {
        const kind = own ? "gateway-attributes" : "attributes";
        addRecord(encoded, { ...owner, kind, json: text, values: count });
      }
    }
    for (const entry of data.telemetry ?? []) {
      const keys = Object.keys(entry.values);
      const { text, count, rejected } = encodeValues(entry.values, keys);
      encoded.badValues += rejected;
      if (count > 0) {
        const kind = own ? "gateway-telemetry" : "telemetry";
        const ts = this.#timeOf(entry, data, keys);
        const json = this.#entryOf(encoded, data, { ts, text });
        addRecord(encoded, { ...owner, kind, json, values: count });
      }
    }
  }

  /** As `#encodeInto`, with only the values that their report strategies let through. */
  #siftInto(
    encoded: Encoded,
    data: DeviceData,
    { sieve, deviceType }: { readonly sieve: Sieve; readonly deviceType: string },
  ): void {
    const add = (kind: KeyKind, { text, count, ...counts }: Sifted, ts: number | undefined) => {
      encoded.badValues += counts.rejected;
      encoded.unchanged += counts.unchanged;
      encoded.held += counts.held;
      if (count > 0) {
        const json = ts === undefined ? text : this.#entryOf(encoded, data, { ts, text });
        addRecord(encoded, { device: data.deviceName, deviceType, kind, json, values: count });
      }
    };
    if (data.attributes !== undefined) {
      add("attributes", sieve.sift(data.attributes, "attributes", undefined), undefined);
    }
    for (const entry of data.telemetry ?? []) {
      const ts = this.#timeOf(entry, data);
      add("telemetry", sieve.sift(entry.values, "telemetry", ts), ts);
    }
  }

  /** A telemetry entry, with the times of its way if they are wanted and known. */
  #entryOf(
    { connector }: Encoded,
    data: DeviceData,
    { ts, text }: { readonly ts: number; readonly text: string },
  ): string {
    if (connector !== undefined && ts >= 0) {
      const receivedTs = data.receivedTs ?? this.#options.clock.now();
      if (hasLatencyDigits(receivedTs)) {
        return latencyEntry({ ts, values: text, connector, receivedTs });
      }
    }
    return `{"ts":${ts},"values":${text}}`;
  }

  /** The store has got what report strategies let through. */
  #confirm({ passed }: Encoded): void {
    if (passed !== undefined) {
      this.#reports.confirm(passed);
    }
  }

  /** The store has not got it. */
  #undo({ passed }: Encoded): void {
    if (passed !== undefined) {
      this.#reports.undo(passed);
    }
  }

  #timeOf(entry: TelemetryEntry, data: DeviceData, keys?: readonly string[]): EpochMs {
    if (entry.ts !== undefined) {
      return entry.ts;
    }
    const arrivedMs = data.receivedTs ?? this.#options.clock.now();
    return this.#stamps.stamp(data.deviceName, keys ?? Object.keys(entry.values), arrivedMs);
  }

  /** Counts a refused call by its values. `reason` undefined: it has been counted already. */
  #refuse(reason: string | undefined, values: number): RejectedError {
    if (reason !== undefined) {
      this.#options.sink.countRejected(reason, values);
    }
    return new RejectedError(REFUSALS[reason ?? "bad-value"] ?? "The record is refused", {
      reason: reason ?? "bad-value",
    });
  }
}

const REFUSALS: Readonly<Record<string, string>> = {
  "no-device-name": "Cannot store a record without a device name",
  "device-name-too-long": `Cannot store a record: a device name has at most ${MAX_NAME_LENGTH} characters`,
  "no-value": "Cannot store a record without a value",
  "bad-value": "Cannot store a record: none of its values can be sent",
};

/** Why nothing of a call had to be stored. */
function filteredResult({ unchanged, held }: Encoded): AcceptResult {
  if (held > 0) {
    return HELD;
  }
  return unchanged > 0 ? UNCHANGED : KEPT_OUT;
}

function isList(data: DeviceData | readonly DeviceData[]): data is readonly DeviceData[] {
  return Array.isArray(data);
}
