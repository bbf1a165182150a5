import type { Clock } from "#sdk/clock";
import { type EpochMs, epochMs } from "#sdk/model";
import type { DeviceSession } from "./device-session.ts";
import { Faults } from "./faults.ts";
import { GatewayMetrics } from "./metrics.ts";
import { type Device, Registry } from "./model.ts";
import { REASON } from "./packets.ts";
import { RateLimits } from "./rate-limit.ts";
import { RpcEngine } from "./rpc.ts";
import {
  type Counters,
  defaultTimings,
  type Features,
  featuresOf,
  type ServerVersion,
  type Timings,
  zeroCounters,
} from "./settings.ts";
import { Transcript } from "./transcript.ts";
import { type DataPoint, downlinkText, ownText, quote, type TypedValue } from "./values.ts";

/** A publish that the server received; shown to listeners before it is handled. */
export interface PublishEvent {
  /** Number of the connection, from 1. */
  readonly connection: number;
  readonly topic: string;
  /** The payload as UTF-8 text. */
  readonly text: string;
  readonly qos: 0 | 1 | 2;
  readonly isDuplicate: boolean;
  readonly packetId: number | undefined;
}

/** A message to a device, shown to listeners before it is sent. */
export interface DownlinkEvent {
  /** Number of the connection, from 1. */
  readonly connection: number;
  readonly topic: string;
  readonly text: string;
}

/** A value that was stored. */
export interface ValueEvent {
  readonly device: string;
  readonly point: DataPoint;
}

/** Answers a call from a device with JSON text; undefined leaves it to the time-out. */
export type ClientRpcHandler = (
  device: string,
  method: string,
  params: string,
) => string | undefined;

/** How the platform is set up. */
export interface PlatformOptions {
  readonly clock: Clock;
  readonly version: ServerVersion;
  /** Newest points kept of each series; undefined keeps all. */
  readonly retainSeries: number | undefined;
  readonly keepTranscript: boolean;
}

/** Distinct keys remembered at most. */
const MAX_SHARED_KEYS = 100_000;

/** Everything behind the connections: devices, queues, limits, calls, and who is connected. */
export class Platform {
  readonly clock: Clock;
  readonly features: Features;
  readonly retainSeries: number | undefined;
  readonly registry = new Registry();
  readonly limits: RateLimits;
  readonly faults = new Faults();
  readonly counters: Counters = zeroCounters();
  readonly timings: Timings = defaultTimings();
  readonly metrics = new GatewayMetrics();
  readonly rpc: RpcEngine;
  readonly transcript: Transcript | undefined;
  readonly downlinkListeners = new Set<(event: DownlinkEvent) => void>();
  readonly publishListeners = new Set<(event: PublishEvent) => void>();
  readonly valueListeners = new Set<(event: ValueEvent) => void>();
  clientRpc: ClientRpcHandler = () => undefined;

  readonly #sessions = new Map<Device, DeviceSession>();
  readonly #timers = new Set<Disposable>();
  readonly #keys = new Map<string, string>();
  readonly #changeListeners = new Set<() => void>();

  constructor(options: PlatformOptions) {
    this.clock = options.clock;
    this.features = featuresOf(options.version);
    this.retainSeries = options.retainSeries;
    this.limits = new RateLimits(options.clock);
    this.rpc = new RpcEngine(this);
    this.transcript = options.keepTranscript ? new Transcript() : undefined;
  }

  /** The server's wall clock, with the skew fault. */
  now(): EpochMs {
    return epochMs(this.clock.now() + this.faults.clockSkewMs);
  }

  /** Calls back after `durationMs`, or at once for 0. Ends with the platform. */
  after(durationMs: number, callback: () => void): Disposable {
    if (durationMs <= 0) {
      callback();
      return { [Symbol.dispose]: () => undefined };
    }
    const timer = this.clock.timer(durationMs, () => {
      this.#timers.delete(handle);
      callback();
    });
    const handle: Disposable = {
      [Symbol.dispose]: () => {
        this.#timers.delete(handle);
        timer[Symbol.dispose]();
      },
    };
    this.#timers.add(handle);
    return handle;
  }

  /** The live session of a device. */
  sessionOf(device: Device): DeviceSession | undefined {
    return this.#sessions.get(device);
  }

  /** Makes `session` the one of its device; an older one ends with "session taken over". */
  openSession(session: DeviceSession): void {
    const older = this.#sessions.get(session.device);
    this.#sessions.set(session.device, session);
    if (older !== undefined && older !== session) {
      older.evict(REASON.SESSION_TAKEN_OVER);
    }
    const state = session.device.state;
    state.lastConnectTime = this.now();
    this.touch(session.device);
  }

  /** The session ended. It pays for the event; a refusal changes nothing. */
  closeSession(session: DeviceSession): void {
    this.limits.tryTake(session.sender, 0);
    if (this.#sessions.get(session.device) === session) {
      this.#sessions.delete(session.device);
      session.device.state.lastDisconnectTime = this.now();
    }
    this.changed();
  }

  /** The one copy of a key that everything stored shares; it holds no payload in memory. */
  ownKey(key: string): string {
    const known = this.#keys.get(key);
    if (known !== undefined) {
      return known;
    }
    if (this.#keys.size >= MAX_SHARED_KEYS) {
      this.#keys.clear();
    }
    const own = ownText(key);
    this.#keys.set(own, own);
    return own;
  }

  /** Records activity of a device. */
  touch(device: Device): void {
    device.state.lastActivityTime = this.now();
    device.state.active = true;
  }

  /** Stores values that were acknowledged. Those of a deleted device are lost. */
  storePoints(device: Device, points: readonly DataPoint[]): void {
    if (device.isDeleted) {
      this.counters.lost += points.length;
      return;
    }
    const options = { retain: this.retainSeries };
    for (const point of points) {
      device.addPoint(point, options);
    }
    this.counters.values += points.length;
    if (this.valueListeners.size > 0) {
      for (const point of points) {
        this.#tellValue({ device: device.name, point });
      }
    }
  }

  /** Stores client attributes that were acknowledged. Those of a deleted device are lost. */
  storeAttributes(device: Device, values: ReadonlyMap<string, TypedValue>): void {
    if (device.isDeleted) {
      this.counters.lost += values.size;
      return;
    }
    for (const [key, value] of values) {
      device.attributes.client.set(this.ownKey(key), value);
    }
    this.counters.attributes += values.size;
  }

  /** Changes shared attributes and tells the device when it is connected. */
  setShared(device: Device, values: ReadonlyMap<string, TypedValue>): void {
    for (const [key, value] of values) {
      device.attributes.shared.set(key, value);
    }
    this.#tellAttributes(device, attributesText(values));
  }

  /** Deletes shared attributes and tells the device when it is connected. */
  deleteShared(device: Device, keys: readonly string[]): void {
    for (const key of keys) {
      device.attributes.shared.delete(key);
    }
    this.#tellAttributes(device, `{"deleted":[${keys.map(quote).join(",")}]}`);
  }

  /** Finds devices that were silent for too long. */
  checkDevices(): void {
    const now = this.now();
    for (const device of this.registry.devices()) {
      const { state } = device;
      if (state.active && now - state.lastActivityTime >= this.timings.deviceInactivityMs) {
        state.active = false;
        state.inactivityAlarmTime = now;
      }
    }
  }

  /** Stores the collected gateway metrics on the gateways. */
  reportMetrics(): void {
    for (const [gateway, text] of this.metrics.take()) {
      const value: TypedValue = { type: "JSON", value: text, text };
      this.storePoints(gateway, [{ key: "gatewayMetrics", ts: this.now(), ...value }]);
    }
  }

  /** Something happened that somebody may wait for. */
  changed(): void {
    for (const listener of this.#changeListeners) {
      listener();
    }
  }

  /** Calls `listener` after everything that happens. */
  onChange(listener: () => void): Disposable {
    this.#changeListeners.add(listener);
    return { [Symbol.dispose]: () => this.#changeListeners.delete(listener) };
  }

  /** Cancels all timers and waiting calls. */
  dispose(): void {
    for (const timer of this.#timers) {
      timer[Symbol.dispose]();
    }
    this.rpc.dispose();
  }

  #tellAttributes(device: Device, data: string): void {
    const session = this.#sessions.get(device);
    if (session?.isAttributesSubscribed === true) {
      session.sendAttributes(data);
    }
  }

  #tellValue(event: ValueEvent): void {
    for (const listener of this.valueListeners) {
      listener(event);
    }
  }
}

/** JSON text of attributes as the server sends them down. */
export function attributesText(values: Iterable<readonly [string, TypedValue]>): string {
  const parts: string[] = [];
  for (const [key, value] of values) {
    parts.push(`${quote(key)}:${downlinkText(value)}`);
  }
  return `{${parts.join(",")}}`;
}
