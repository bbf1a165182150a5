import type { EncodedRecord } from "#sdk/batch";
import type { Clock } from "#sdk/clock";
import type { AcceptResult, Uplink } from "#sdk/connector";
import { encodeValues } from "#sdk/encode";
import { RejectedError } from "#sdk/errors";
import type { DeviceData, EpochMs, TelemetryEntry } from "#sdk/model";
import { Stamps } from "./stamps.ts";

/** Longest device name the platform takes. */
const MAX_NAME_LENGTH = 255;
/** Profile of a device nobody gave one. */
const DEFAULT_TYPE = "default";

/** Where encoded records and counts go: the client of the delivery thread. */
export interface RecordSink {
  append(
    records: readonly EncodedRecord[],
    options: { readonly urgent: boolean },
    signal: AbortSignal,
  ): Promise<void>;
  tryAppend(records: readonly EncodedRecord[], onLost: (error: unknown) => void): boolean;
  countFiltered(reason: string, values: number): void;
  countRejected(reason: string, values: number): void;
}

/** What the pipeline needs of its surroundings. */
export interface PipelineOptions {
  /** For samples without a time. On a machine that does not know the time it gives provisional ones, see `delivery/README.md`. */
  readonly clock: Clock;
  readonly sink: RecordSink;
  /** The type a device was connected with. */
  readonly deviceType: (deviceName: string) => string | undefined;
  /** Data taken by `tryAccept` that could not be stored in the end. */
  readonly onLost: (error: unknown) => void;
}

/** Told of a device that data came from. */
export type DeviceCallback = (deviceName: string, deviceType: string) => void;

/** Told what becomes of the data of one connector. */
export interface UplinkListener {
  /** Data of this device is about to be stored. */
  readonly onDevice: DeviceCallback;
  /** So many records are in the store, or on their way there for a source that does not wait. */
  readonly onStored?: (records: number) => void;
}

/** Records of one call, with what had to be left out of them. */
interface Encoded {
  readonly records: EncodedRecord[];
  values: number;
  badValues: number;
}

const STORED: AcceptResult = { status: "stored" };

/**
 * The way up for all connectors: checks each record, stamps values without a time, encodes the values to JSON text once and
 * hands them to the store. Everything left out is counted.
 */
export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #stamps = new Stamps();

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** The way up for one connector. */
  uplinkOf(listener: UplinkListener): Uplink {
    return {
      accept: (data, signal, options) =>
        this.#accept(data, listener, { signal, urgent: options?.urgent ?? false }),
      tryAccept: (data) => this.#tryAccept(data, listener),
    };
  }

  async #accept(
    data: DeviceData | readonly DeviceData[],
    { onDevice, onStored }: UplinkListener,
    { signal, urgent }: { readonly signal: AbortSignal; readonly urgent: boolean },
  ): Promise<AcceptResult> {
    signal.throwIfAborted();
    const encoded = this.#encodeAll(data, onDevice);
    try {
      await this.#options.sink.append(encoded.records, { urgent }, signal);
    } catch (error) {
      if (error instanceof RejectedError) {
        return { status: "dropped", reason: error.reason };
      }
      throw error;
    }
    onStored?.(encoded.records.length);
    return STORED;
  }

  #tryAccept(
    data: DeviceData,
    { onDevice, onStored }: UplinkListener,
  ): { readonly status: "queued" | "filtered" | "overflow" } {
    const encoded = this.#encodeAll(data, onDevice);
    const taken = this.#options.sink.tryAppend(encoded.records, this.#options.onLost);
    if (!taken) {
      this.#options.sink.countRejected("overflow", encoded.values);
      return { status: "overflow" };
    }
    onStored?.(encoded.records.length);
    return { status: "queued" };
  }

  /** Data of the gateway's own device. @throws RejectedError when no value is left. */
  async acceptOwn(
    data: Pick<DeviceData, "attributes" | "telemetry">,
    signal: AbortSignal,
  ): Promise<AcceptResult> {
    const encoded: Encoded = { records: [], values: 0, badValues: 0 };
    this.#encodeInto(encoded, { ...data, deviceName: "" }, { device: "", deviceType: "" });
    this.#finish(encoded);
    await this.#options.sink.append(encoded.records, { urgent: false }, signal);
    return STORED;
  }

  /** @throws RejectedError for the first invalid record; nothing of the call is stored then. */
  #encodeAll(data: DeviceData | readonly DeviceData[], onDevice: DeviceCallback): Encoded {
    const encoded: Encoded = { records: [], values: 0, badValues: 0 };
    if (isList(data)) {
      for (const one of data) {
        this.#encodeDevice(encoded, one, onDevice);
      }
    } else {
      this.#encodeDevice(encoded, data, onDevice);
    }
    this.#finish(encoded);
    return encoded;
  }

  /** Counts what was left out, and refuses a call in which nothing is left. */
  #finish(encoded: Encoded): void {
    if (encoded.badValues > 0) {
      this.#options.sink.countRejected("bad-value", encoded.badValues);
    }
    if (encoded.values === 0) {
      throw this.#refuse(encoded, encoded.badValues > 0 ? undefined : "no-value");
    }
  }

  #encodeDevice(encoded: Encoded, data: DeviceData, onDevice: DeviceCallback): void {
    const { deviceName } = data;
    if (typeof deviceName !== "string" || deviceName.trim() === "") {
      throw this.#refuse(encoded, "no-device-name");
    }
    if (deviceName.length > MAX_NAME_LENGTH) {
      throw this.#refuse(encoded, "device-name-too-long");
    }
    const deviceType = data.deviceType ?? this.#options.deviceType(deviceName) ?? DEFAULT_TYPE;
    onDevice(deviceName, deviceType);
    this.#encodeInto(encoded, data, { device: deviceName, deviceType });
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
        encoded.records.push({ ...owner, kind, json: text, values: count });
        encoded.values += count;
      }
    }
    for (const entry of data.telemetry ?? []) {
      const { text, count, rejected } = encodeValues(entry.values);
      encoded.badValues += rejected;
      if (count > 0) {
        const kind = own ? "gateway-telemetry" : "telemetry";
        const json = `{"ts":${this.#timeOf(entry, data)},"values":${text}}`;
        encoded.records.push({ ...owner, kind, json, values: count });
        encoded.values += count;
      }
    }
  }

  #timeOf(entry: TelemetryEntry, data: DeviceData): EpochMs {
    if (entry.ts !== undefined) {
      return entry.ts;
    }
    const arrivedMs = data.receivedTs ?? this.#options.clock.now();
    return this.#stamps.stamp(data.deviceName, Object.keys(entry.values), arrivedMs);
  }

  /** Counts a refused call once per value it held, at least once. `reason` undefined: it has been counted already. */
  #refuse(encoded: Encoded, reason: string | undefined): RejectedError {
    if (reason !== undefined) {
      this.#options.sink.countRejected(reason, Math.max(1, encoded.values));
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

function isList(data: DeviceData | readonly DeviceData[]): data is readonly DeviceData[] {
  return Array.isArray(data);
}
