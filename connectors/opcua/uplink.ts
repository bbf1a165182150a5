import type { OpcUaRead } from "#sdk/converter";
import { setMember } from "#sdk/members";
import { type DeviceData, type EpochMs, epochMs, type Json, type TelemetryEntry } from "#sdk/model";
import { BUILTIN, convertValue, type TypedValue, type ValueFormat } from "./codec.ts";
import type { Device, Item, Target } from "./device.ts";
import { isBad, type Status } from "./failures.ts";

/** One value of a node with its status and times. */
export interface Sample extends TypedValue {
  readonly statusCode: Status;
  readonly sourceMs: number | undefined;
  readonly serverMs: number | undefined;
}

/** One value of a node as the stack delivers it. */
export interface StackSample {
  readonly value: TypedValue;
  readonly statusCode: Status;
  readonly sourceTimestamp: Date | null;
  readonly serverTimestamp: Date | null;
}

/** How samples become values. */
export interface UplinkSettings {
  readonly format: ValueFormat;
  readonly badStatus: "skip" | "text" | "value";
}

/** What happened on the way that somebody may want to know. */
export interface UplinkNotes {
  /** No value came out of a sample. */
  skipped(reason: "bad-status" | "no-value", target: Target, item: Item): void;
  /** The status of a target changed between good and bad. */
  turned(target: Target, item: Item, status: Status): void;
  /** A timestamp nobody can mean. */
  implausible(item: Item, ts: number): void;
}

/** What one device has said. */
interface Draft {
  attributes: Record<string, Json> | undefined;
  /** Values by their time, in the order of their first appearance; without one they carry the arrival. */
  readonly entries: Map<number | undefined, Record<string, Json>>;
  /** The entry of the arrival: most values go there. */
  arrived: Record<string, Json> | undefined;
  raw: OpcUaRead["items"][number][] | undefined;
}

const DAY_MS = 86_400_000;
/** Set in a status when the server had no room for changes before this one (OPC UA Part 4 §7.39.1): InfoType DataValue and Overflow. */
const OVERFLOW = 0x0480;
/** The node does not exist any more. */
const GONE = new Set(["BadNodeIdUnknown", "BadNodeIdInvalid"]);

/** Collects the samples of one answer or notification and makes the records of the devices from them. Pure. */
export class ReadResult {
  readonly #receivedTs: EpochMs;
  readonly #settings: UplinkSettings;
  readonly #notes: UplinkNotes;
  readonly #drafts = new Map<Device, Draft>();
  /** Where the value before went: the next one is mostly of the same device. */
  #device: Device | undefined;
  #draft: Draft | undefined;
  /** There is a node with several samples. */
  #hasSeveral = false;
  /** Samples before which the server had no room for others. */
  overflows = 0;

  constructor(receivedTs: EpochMs, settings: UplinkSettings, notes: UplinkNotes) {
    this.#receivedTs = receivedTs;
    this.#settings = settings;
    this.#notes = notes;
  }

  /** The only sample of a node. */
  add(item: Item, sample: Sample): void {
    this.#add(item, sample, undefined);
  }

  /** Several samples of a node, oldest first: the last one has just arrived, the others before it as far apart as at the source. */
  addAll(item: Item, samples: readonly Sample[]): void {
    this.#hasSeveral = true;
    const stamps = spaceBack(
      this.#receivedTs,
      samples.map(({ sourceMs }) => this.#plausible(item, sourceMs)),
    );
    for (const [index, sample] of samples.entries()) {
      this.#add(item, sample, stamps[index]);
    }
  }

  /** A value that is on no node. */
  addConstant(target: Target, value: string): void {
    this.#put(target, value, undefined);
  }

  /** Whether no value came out of the samples. */
  get isEmpty(): boolean {
    return this.#drafts.size === 0;
  }

  /** The records, one for each device. */
  records(): readonly DeviceData[] {
    const records: DeviceData[] = [];
    for (const [device, draft] of this.#drafts) {
      if (device.converter !== undefined) {
        const { name: deviceName } = device;
        const { raw: items = [] } = draft;
        records.push(...device.converter({ deviceName, receivedTs: this.#receivedTs, items }));
      } else if (hasValues(draft)) {
        records.push(this.#record(device, draft));
      }
    }
    return records;
  }

  #add(item: Item, sample: Sample, arrivalTs: number | undefined): void {
    const { statusCode } = sample;
    const bad = isBad(statusCode);
    if ((statusCode.value & OVERFLOW) === OVERFLOW) {
      this.overflows += 1;
    }
    item.isGone = bad && GONE.has(statusCode.name);
    const value = this.#valueOf(item, sample, bad);
    for (const target of item.targets) {
      if (target.isBad !== bad) {
        target.isBad = bad;
        this.#notes.turned(target, item, statusCode);
      }
      if (target.device.converter !== undefined) {
        this.#putRaw(target, item, sample, value ?? null);
      } else if (value === undefined) {
        this.#notes.skipped(bad ? "bad-status" : "no-value", target, item);
      } else {
        this.#put(target, value, this.#tsOf(target, item, sample) ?? arrivalTs);
      }
    }
  }

  #valueOf(item: Item, sample: Sample, bad: boolean): Json | undefined {
    const { badStatus, format } = this.#settings;
    if (bad && badStatus === "skip") {
      return undefined;
    }
    const hasValue = sample.dataType !== BUILTIN.Null;
    if (bad && (badStatus === "text" || !hasValue)) {
      const { name, description } = sample.statusCode;
      return badStatus === "text"
        ? `Bad status code: ${name} for node: ${item.key} with description ${description}`
        : undefined;
    }
    return convertValue(sample, format);
  }

  /** The time a target asks for, when the sample has it. */
  #tsOf(target: Target, item: Item, sample: Sample): number | undefined {
    if (target.section === "attributes" || target.stamp === "gateway") {
      return undefined;
    }
    return this.#plausible(item, target.stamp === "source" ? sample.sourceMs : sample.serverMs);
  }

  /** Servers write 1601 for "no time", and some have no clock. */
  #plausible(item: Item, ms: number | undefined): number | undefined {
    if (ms === undefined || Number.isNaN(ms)) {
      return undefined;
    }
    if (ms < 0 || ms > this.#receivedTs + DAY_MS) {
      this.#notes.implausible(item, ms);
      return undefined;
    }
    return ms;
  }

  #draftOf(device: Device): Draft {
    if (this.#draft !== undefined && device === this.#device) {
      return this.#draft;
    }
    let draft = this.#drafts.get(device);
    if (draft === undefined) {
      draft = { attributes: undefined, entries: new Map(), arrived: undefined, raw: undefined };
      this.#drafts.set(device, draft);
    }
    this.#device = device;
    this.#draft = draft;
    return draft;
  }

  #put(target: Target, value: Json, ts: number | undefined): void {
    const draft = this.#draftOf(target.device);
    if (target.section === "attributes") {
      draft.attributes ??= {};
      setMember(draft.attributes, target.key, value);
      return;
    }
    if (ts === undefined || ts === this.#receivedTs) {
      if (draft.arrived === undefined) {
        draft.arrived = {};
        draft.entries.set(undefined, draft.arrived);
      }
      setMember(draft.arrived, target.key, value);
      return;
    }
    let values = draft.entries.get(ts);
    if (values === undefined) {
      values = {};
      draft.entries.set(ts, values);
    }
    setMember(values, target.key, value);
  }

  #putRaw(target: Target, item: Item, sample: Sample, value: Json): void {
    const draft = this.#draftOf(target.device);
    const sourceTs = this.#plausible(item, sample.sourceMs);
    draft.raw ??= [];
    draft.raw.push({
      key: target.key,
      section: target.section,
      nodeId: item.key,
      value,
      status: sample.statusCode.value,
      ...(sourceTs === undefined ? {} : { sourceTs: epochMs(sourceTs) }),
    });
  }

  /** Where a key may be in several entries the oldest comes first: what the platform takes in last is its latest value. */
  #inOrder(entries: Draft["entries"]): Iterable<[number | undefined, Record<string, Json>]> {
    if (!this.#hasSeveral) {
      return entries;
    }
    const now = this.#receivedTs;
    return [...entries].toSorted(([left = now], [right = now]) => left - right);
  }

  #record(device: Device, { attributes, entries }: Draft): DeviceData {
    const telemetry: TelemetryEntry[] = [];
    for (const [ts, values] of this.#inOrder(entries)) {
      telemetry.push(ts === undefined ? { values } : { ts: epochMs(ts), values });
    }
    const { strategy } = device.mapping;
    return {
      deviceName: device.name,
      deviceType: device.profile,
      receivedTs: this.#receivedTs,
      ...(attributes === undefined ? undefined : { attributes }),
      ...(telemetry.length === 0 ? undefined : { telemetry }),
      ...(strategy === undefined ? undefined : { strategy }),
      ...(device.keyStrategies === undefined ? undefined : { keyStrategies: device.keyStrategies }),
    };
  }
}

/** A sample of the stack in one object. */
export function sampleOf({ value, statusCode, ...times }: StackSample): Sample {
  const { dataType, arrayType, dimensions, value: content } = value;
  return {
    dataType,
    arrayType,
    dimensions,
    value: content,
    statusCode,
    sourceMs: times.sourceTimestamp?.getTime(),
    serverMs: times.serverTimestamp?.getTime(),
  };
}

function hasValues({ attributes, entries }: Draft): boolean {
  return attributes !== undefined || entries.size > 0;
}

/**
 * When samples that arrived together were taken: the last one now, each other one as long before its successor as the source says,
 * at least 1 ms.
 */
export function spaceBack(
  arrivalTs: number,
  sourceTs: readonly (number | undefined)[],
): readonly number[] {
  const stamps: number[] = [];
  let next = arrivalTs;
  for (let index = sourceTs.length - 1; index >= 0; index -= 1) {
    stamps[index] = next;
    const own = sourceTs[index];
    const before = sourceTs[index - 1];
    const gap = own === undefined || before === undefined ? 1 : own - before;
    next -= Math.max(1, Math.floor(gap));
  }
  return stamps;
}
