import { setMember } from "#sdk/members";
import type { DeviceData, EpochMs, Json, ReportStrategy } from "#sdk/model";

/** The device a record is about. */
interface Device {
  readonly deviceName: string;
  readonly deviceType: string;
}

/** Values of one moment; `ts` undefined is the time of arrival. */
interface Moment {
  readonly ts: EpochMs | undefined;
  readonly values: Record<string, Json>;
}

/** Collects what a device said in one message, or in one element of a list. */
export class RecordDraft {
  readonly deviceName: string;
  readonly #deviceType: string;
  readonly #receivedTs: EpochMs;
  #attributes: Record<string, Json> | undefined;
  #moments: Moment[] = [];
  #keyStrategies: Record<string, ReportStrategy> | undefined;

  constructor(device: Device, receivedTs: EpochMs) {
    this.deviceName = device.deviceName;
    this.#deviceType = device.deviceType;
    this.#receivedTs = receivedTs;
  }

  get isEmpty(): boolean {
    return this.#attributes === undefined && this.#moments.length === 0;
  }

  addAttribute(key: string, value: Json): void {
    this.#attributes ??= {};
    setMember(this.#attributes, key, value);
  }

  /** A second value of a key for the same time replaces the first: both come from the same message. */
  addValue(key: string, value: Json, ts: EpochMs | undefined): void {
    let moment = this.#moments.find((one) => one.ts === ts);
    if (moment === undefined) {
      moment = { ts, values: {} };
      this.#moments.push(moment);
    }
    setMember(moment.values, key, value);
  }

  addStrategy(key: string, strategy: ReportStrategy | undefined): void {
    if (strategy !== undefined) {
      this.#keyStrategies ??= {};
      setMember(this.#keyStrategies, key, strategy);
    }
  }

  /**
   * Takes in the drafts of later elements of the same device. Values of the same time are put together unless a key is there
   * already; values without a time stay apart, and the core stamps them one after the other.
   */
  absorb(others: readonly RecordDraft[]): void {
    const byTs = new Map<EpochMs, Moment>();
    const moments: Moment[] = [];
    for (const { ts, values } of [this, ...others].flatMap((draft) => draft.#moments)) {
      const known = ts === undefined ? undefined : byTs.get(ts);
      if (
        known !== undefined &&
        Object.keys(values).every((key) => !Object.hasOwn(known.values, key))
      ) {
        for (const [key, value] of Object.entries(values)) {
          setMember(known.values, key, value);
        }
        continue;
      }
      const moment = { ts, values };
      moments.push(moment);
      if (ts !== undefined) {
        byTs.set(ts, moment);
      }
    }
    this.#moments = moments;
    for (const other of others) {
      for (const [key, value] of Object.entries(other.#attributes ?? {})) {
        this.addAttribute(key, value);
      }
      for (const [key, strategy] of Object.entries(other.#keyStrategies ?? {})) {
        this.addStrategy(key, strategy);
      }
    }
  }

  /** The record. */
  finish(strategy: ReportStrategy | undefined): DeviceData {
    return {
      deviceName: this.deviceName,
      deviceType: this.#deviceType,
      receivedTs: this.#receivedTs,
      ...(this.#moments.length === 0 ? undefined : { telemetry: this.#moments.map(toEntry) }),
      ...(this.#attributes === undefined ? undefined : { attributes: this.#attributes }),
      ...(strategy === undefined ? undefined : { strategy }),
      ...(this.#keyStrategies === undefined ? undefined : { keyStrategies: this.#keyStrategies }),
    };
  }
}

/** One draft for each device, in the order of their first element; the first one's profile counts. */
export function mergeRecords(drafts: readonly RecordDraft[]): readonly RecordDraft[] {
  if (drafts.length < 2) {
    return drafts; // Nearly every message.
  }
  const byDevice = Map.groupBy(drafts, (draft) => draft.deviceName);
  const merged: RecordDraft[] = [];
  for (const [first, ...others] of byDevice.values()) {
    if (first !== undefined) {
      if (others.length > 0) {
        first.absorb(others);
      }
      merged.push(first);
    }
  }
  return merged;
}

function toEntry({ ts, values }: Moment): { ts?: EpochMs; values: Record<string, Json> } {
  return ts === undefined ? { values } : { ts, values };
}
