import { DeviceStates, type KeyKind, KeyState, PeriodState, UseOrder } from "./device-states.ts";
import { DueHeap } from "./due-heap.ts";
import {
  hasPeriod,
  isSame,
  isUnknown,
  judge,
  type Remembered,
  type Strategy,
  type Verdict,
} from "./report-strategy.ts";

/** Bounds of what is remembered; beyond them the devices seen longest ago are forgotten. */
export interface CacheLimits {
  readonly keys: number;
  /** Characters of text, arrays and objects, and of samples that wait. */
  readonly chars: number;
}

/** One value on its way through the cache. */
export interface Sample {
  readonly device: DeviceStates;
  readonly kind: KeyKind;
  readonly key: string;
  /** The value as it is sent. */
  readonly json: string;
  /** The value as it is compared. */
  readonly remembered: Remembered;
  readonly strategy: Strategy;
  /** `undefined` for an attribute. */
  readonly ts: number | undefined;
}

/** A value that a period sends. */
export interface Report {
  readonly device: DeviceStates;
  readonly kind: KeyKind;
  readonly key: string;
  readonly json: string;
  /** Time of the sample; `undefined` for an attribute, and for a repeat, which gets the time it is sent. */
  readonly ts: number | undefined;
  /** Whether a sample of another value has come since, so that the report says what is no longer so. */
  isOutdated(): boolean;
}

/** A sample that was let through, until it is known whether it reached the store. */
export interface Passed {
  readonly state: KeyState;
  /** The sample that waited meanwhile, -1 for none: it is left out once the newer one is stored. */
  readonly waiting: number;
}

/** What the cache counts since the start of the gateway. */
export interface CacheCounters {
  /** Keys remembered at this moment. */
  keys: number;
  /** Keys forgotten because there were too many. */
  evicted: number;
  /** Ends of a period without any sample to report. */
  periodsWithoutSample: number;
}

/** What is known of every key under a strategy that holds values back. Bounded; knows nothing of clocks, timers and the store. */
export class ReportCache {
  readonly counters: CacheCounters = { keys: 0, evicted: 0, periodsWithoutSample: 0 };
  /** Upstream's way: a period sends the last value whether or not there was a sample, with the time it is sent. */
  repeats = false;
  readonly #limits: CacheLimits;
  readonly #connectors = new Map<string, Map<string, DeviceStates>>();
  readonly #order = new UseOrder();
  readonly #heap = new DueHeap<PeriodState>();
  #chars = 0;
  #superseded = 0;
  #homeless: Report[] = [];

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  /** When the next period ends, in monotonic milliseconds. */
  get nextDueMs(): number | undefined {
    return this.#heap.first?.dueMs;
  }

  /** The states of a device; the caller offers a sample of it next. */
  open(connectorId: string, deviceName: string, deviceType: string): DeviceStates {
    let devices = this.#connectors.get(connectorId);
    if (devices === undefined) {
      devices = new Map();
      this.#connectors.set(connectorId, devices);
    }
    let device = devices.get(deviceName);
    if (device === undefined) {
      device = new DeviceStates(connectorId, deviceName, deviceType);
      devices.set(deviceName, device);
    }
    device.deviceType = deviceType;
    this.#order.use(device);
    return device;
  }

  /** Decides about a sample and remembers it. What was let through is to be followed by `confirm` or `undo`. */
  offer(sample: Sample, nowMs: number): Passed | Exclude<Verdict, "send"> {
    const { device, kind, key, remembered, strategy } = sample;
    const known = device.get(kind, key);
    const verdict = judge(known, { value: remembered, type: strategy.type }, nowMs);
    const state = known ?? this.#create(sample);
    const isChange =
      isUnknown(state, nowMs) || state.value === undefined || !isSame(state.value, remembered);
    if (isChange) {
      this.#chars += textSize(remembered) - textSize(state.value);
      state.value = remembered;
      state.expiresMs = nowMs + strategy.ttl * 1000;
    }
    if (hasPeriod(strategy.type)) {
      this.#follow(sample, { verdict, state }, nowMs);
    }
    if (known === undefined || isChange) {
      this.#makeRoom(device);
    }
    if (verdict !== "send") {
      return verdict;
    }
    const { period } = state;
    return { state, waiting: period?.isHeld === true ? period.serial : -1 };
  }

  /** What was let through has reached the store: older samples of these keys wait no longer. */
  confirm(passed: readonly Passed[]): void {
    for (const { state, waiting } of passed) {
      if (waiting >= 0 && state.period?.serial === waiting) {
        this.#supersede(state.period);
      }
    }
  }

  /** What was let through did not reach the store: the next sample counts as the first, and what waits goes on waiting. */
  undo(passed: readonly Passed[]): void {
    for (const { state } of passed) {
      this.#chars -= textSize(state.value);
      state.value = undefined;
    }
  }

  /** The values whose period has ended, at most `max`; the period begins anew. */
  takeDue(nowMs: number, max: number): readonly Report[] {
    const reports: Report[] = [];
    while (reports.length < max) {
      const period = this.#heap.first;
      if (period === undefined || period.dueMs > nowMs) {
        break;
      }
      this.#heap.remove(period);
      const isRepeat = this.repeats && nowMs < period.state.expiresMs;
      if (period.isHeld || isRepeat) {
        reports.push(this.#release(period));
        passTicks(period, nowMs);
        this.#heap.add(period);
      } else {
        // Sleeps until there is a sample: a silent key costs nothing.
        this.counters.periodsWithoutSample += passTicks(period, nowMs);
      }
    }
    return reports;
  }

  /** Takes the values that wait out, one by one; of one connector, or of all. */
  *takeHeld(connectorId?: string): Generator<Report> {
    for (const [id, devices] of this.#connectors) {
      if (connectorId !== undefined && id !== connectorId) {
        continue;
      }
      for (const device of devices.values()) {
        for (const [, { period }] of device.keys()) {
          if (period?.isHeld === true) {
            yield this.#release(period);
          }
        }
      }
    }
  }

  /** Forgets a connector, or everything. Values that still wait count as superseded. */
  drop(connectorId?: string): void {
    const ids = connectorId === undefined ? [...this.#connectors.keys()] : [connectorId];
    for (const id of ids) {
      for (const device of this.#connectors.get(id)?.values() ?? []) {
        this.#dropDevice(device);
      }
    }
  }

  /** Forgets a device, whichever connector it is of. Values that still wait count as superseded. */
  dropDevice(deviceName: string): void {
    for (const devices of this.#connectors.values()) {
      const device = devices.get(deviceName);
      if (device !== undefined) {
        this.#dropDevice(device);
      }
    }
  }

  /** Forgets what does not count any more. */
  sweep(nowMs: number): void {
    for (const devices of this.#connectors.values()) {
      for (const device of devices.values()) {
        for (const [kind, state] of device.keys()) {
          if (nowMs >= state.expiresMs && state.period?.isHeld !== true) {
            this.#dropKey(device, kind, state);
          }
        }
        this.#closeIfEmpty(device);
      }
    }
  }

  /** How many values were left out since the last call because a newer one took their place. */
  takeSuperseded(): number {
    const count = this.#superseded;
    this.#superseded = 0;
    return count;
  }

  /** The values since the last call that waited when their key was forgotten to make room. */
  takeHomeless(): readonly Report[] {
    const reports = this.#homeless;
    if (reports.length > 0) {
      this.#homeless = [];
    }
    return reports;
  }

  #create({ device, kind, key }: Sample): KeyState {
    const state = new KeyState(key);
    device.add(kind, state);
    this.counters.keys += 1;
    return state;
  }

  /** Keeps the period of a key: begins it, and notes the newest sample. */
  #follow(
    sample: Sample,
    outcome: { readonly verdict: Verdict; readonly state: KeyState },
    nowMs: number,
  ): void {
    const { device, kind, strategy } = sample;
    const { verdict, state } = outcome;
    let { period } = state;
    if (period === undefined) {
      period = new PeriodState({ device, kind, state }, nowMs, strategy.reportPeriod);
      state.period = period;
    } else if (period.periodMs !== strategy.reportPeriod) {
      this.#heap.remove(period);
      period.periodMs = strategy.reportPeriod;
      // Never later than it was: strategies that take turns must not put the end off for ever.
      period.dueMs = Math.min(period.dueMs, nowMs + period.periodMs);
    }
    if (period.heapIndex < 0) {
      this.counters.periodsWithoutSample += passTicks(period, nowMs);
      this.#heap.add(period);
    }
    if (verdict === "hold") {
      this.#hold(period, sample);
    } else if (this.repeats) {
      this.#note(period, sample);
    }
  }

  #hold(period: PeriodState, sample: Sample): void {
    const isOlder =
      period.isHeld && sample.ts !== undefined && period.ts !== undefined && sample.ts < period.ts;
    if (isOlder) {
      this.#superseded += 1;
      return;
    }
    this.#supersede(period);
    period.isHeld = true;
    period.serial += 1;
    this.#note(period, sample);
    if (this.repeats) {
      // Its report has another time and is another value.
      this.#superseded += 1;
    }
  }

  #note(period: PeriodState, sample: Sample): void {
    this.#chars += sample.json.length - period.json.length;
    period.json = sample.json;
    period.ts = sample.ts;
  }

  /** A newer sample has taken the place of one that waits. */
  #supersede(period: PeriodState | undefined): void {
    if (period?.isHeld === true) {
      period.isHeld = false;
      this.#superseded += this.repeats ? 0 : 1;
    }
  }

  #release(period: PeriodState): Report {
    const { device, kind, json, state } = period;
    const ts = this.repeats ? undefined : period.ts;
    period.isHeld = false;
    if (!this.repeats) {
      this.#chars -= json.length;
      period.json = "";
    }
    const { key, value } = state;
    return { device, kind, key, json, ts, isOutdated: () => state.value !== value };
  }

  /** Forgets the devices used longest ago, and of `current` the keys first seen, until the bounds are kept. */
  #makeRoom(current: DeviceStates): void {
    while (this.counters.keys > this.#limits.keys || this.#chars > this.#limits.chars) {
      const { oldest } = this.#order;
      if (oldest === undefined || (oldest === current && current.size <= 1)) {
        return;
      }
      for (const [kind, state] of oldest.keys()) {
        if (state.period?.isHeld === true) {
          this.#homeless.push(this.#release(state.period));
        }
        this.#dropKey(oldest, kind, state);
        this.counters.evicted += 1;
        if (oldest === current) {
          break;
        }
      }
      this.#closeIfEmpty(oldest);
    }
  }

  #dropDevice(device: DeviceStates): void {
    for (const [kind, state] of device.keys()) {
      this.#dropKey(device, kind, state);
    }
    this.#closeIfEmpty(device);
  }

  #dropKey(device: DeviceStates, kind: KeyKind, state: KeyState): void {
    this.#chars -= textSize(state.value);
    // A call under way may still `undo` it.
    state.value = undefined;
    if (state.period !== undefined) {
      this.#supersede(state.period);
      this.#chars -= state.period.json.length;
      this.#heap.remove(state.period);
    }
    device.delete(kind, state.key);
    this.counters.keys -= 1;
  }

  #closeIfEmpty(device: DeviceStates): void {
    if (device.size > 0) {
      return;
    }
    this.#order.remove(device);
    const devices = this.#connectors.get(device.connectorId);
    devices?.delete(device.deviceName);
    if (devices?.size === 0) {
      this.#connectors.delete(device.connectorId);
    }
  }
}

function textSize(value: Remembered | undefined): number {
  return typeof value === "string" ? value.length : 0;
}

/** Moves the end of a period behind `nowMs`, on its grid. Returns how many ends have passed. */
function passTicks(period: PeriodState, nowMs: number): number {
  if (period.dueMs > nowMs) {
    return 0;
  }
  const ticks = Math.floor((nowMs - period.dueMs) / period.periodMs) + 1;
  period.dueMs += ticks * period.periodMs;
  return ticks;
}
