import type { Due } from "./due-heap.ts";
import { KeyList } from "./key-list.ts";
import type { Known, Remembered } from "./report-strategy.ts";

/** Telemetry and attributes of one name are two keys. */
export type KeyKind = "telemetry" | "attributes";

/** What is remembered of one key. */
export class KeyState implements Known {
  readonly key: string;
  value: Remembered | undefined = undefined;
  expiresMs = 0;
  /** Only for the strategies with a period: most keys do without. */
  period: PeriodState | undefined = undefined;

  constructor(key: string) {
    this.key = key;
  }
}

/** The period of one key, and the newest sample that waits for its end. */
export class PeriodState implements Due {
  heapIndex = -1;
  dueMs: number;
  periodMs: number;
  /** Whether `json` waits to be reported. */
  isHeld = false;
  /** Counts the samples that waited: tells whether one that waits is still the same. */
  serial = 0;
  /** Text of the newest sample that waits; with repeats also of one that went up. */
  json = "";
  /** Its time; `undefined` for an attribute. */
  ts: number | undefined = undefined;
  readonly device: DeviceStates;
  readonly kind: KeyKind;
  readonly state: KeyState;

  constructor(
    place: { readonly device: DeviceStates; readonly kind: KeyKind; readonly state: KeyState },
    nowMs: number,
    periodMs: number,
  ) {
    this.device = place.device;
    this.kind = place.kind;
    this.state = place.state;
    this.periodMs = periodMs;
    this.dueMs = nowMs + periodMs;
  }
}

/** The keys of one device of one connector. Devices form a list in the order of their use. */
export class DeviceStates {
  readonly connectorId: string;
  readonly deviceName: string;
  deviceType: string;
  readonly #telemetry = new KeyList<KeyState>();
  #attributes: KeyList<KeyState> | undefined;
  /** Used before this one. */
  older: DeviceStates | undefined = undefined;
  /** Used after this one. */
  newer: DeviceStates | undefined = undefined;

  constructor(connectorId: string, deviceName: string, deviceType: string) {
    this.connectorId = connectorId;
    this.deviceName = deviceName;
    this.deviceType = deviceType;
  }

  get size(): number {
    return this.#telemetry.size + (this.#attributes?.size ?? 0);
  }

  get(kind: KeyKind, key: string): KeyState | undefined {
    return kind === "telemetry" ? this.#telemetry.get(key) : this.#attributes?.get(key);
  }

  /** The caller has seen that the key is not there. */
  add(kind: KeyKind, state: KeyState): void {
    if (kind === "telemetry") {
      this.#telemetry.add(state);
    } else {
      this.#attributes ??= new KeyList();
      this.#attributes.add(state);
    }
  }

  delete(kind: KeyKind, key: string): void {
    (kind === "telemetry" ? this.#telemetry : this.#attributes)?.delete(key);
  }

  /** Every key, those first seen first. Keys may be deleted meanwhile. */
  *keys(): Generator<readonly [KeyKind, KeyState]> {
    for (const state of this.#telemetry.values()) {
      yield ["telemetry", state];
    }
    for (const state of this.#attributes?.values() ?? []) {
      yield ["attributes", state];
    }
  }
}

/** Devices in the order of their use. */
export class UseOrder {
  #oldest: DeviceStates | undefined;
  #newest: DeviceStates | undefined;

  /** The device used longest ago. */
  get oldest(): DeviceStates | undefined {
    return this.#oldest;
  }

  /** Makes it the one used last; takes it in when it is not in the list. */
  use(device: DeviceStates): void {
    if (this.#newest === device) {
      return;
    }
    this.remove(device);
    device.older = this.#newest;
    if (this.#newest === undefined) {
      this.#oldest = device;
    } else {
      this.#newest.newer = device;
    }
    this.#newest = device;
  }

  /** Does nothing for a device that is not in the list. */
  remove(device: DeviceStates): void {
    const { older, newer } = device;
    if (older !== undefined) {
      older.newer = newer;
    } else if (this.#oldest === device) {
      this.#oldest = newer;
    }
    if (newer !== undefined) {
      newer.older = older;
    } else if (this.#newest === device) {
      this.#newest = older;
    }
    device.older = undefined;
    device.newer = undefined;
  }
}
