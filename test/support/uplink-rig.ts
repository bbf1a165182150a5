import { ThingsBoardDouble, type ThingsBoardOptions } from "../../src/demo/thingsboard/server.ts";
import { BatchWriter, type EncodedRecord } from "../../src/sdk/batch.ts";
import { type Clock, systemClock } from "../../src/sdk/clock.ts";
import { TransientError } from "../../src/sdk/errors.ts";
import type { EventStore } from "../../src/storage/event-store.ts";
import { MemoryStore } from "../../src/storage/memory-store.ts";
import { Sender } from "../../src/thingsboard/sender.ts";
import { Session, type SessionHost } from "../../src/thingsboard/session.ts";
import type { SessionSettings } from "../../src/thingsboard/settings.ts";
import { fastClock } from "./fast-clock.ts";
import { type MemoryLog, memoryLog } from "./memory-log.ts";

/** What a rig may have otherwise. */
export interface RigOptions {
  readonly server?: Partial<ThingsBoardOptions>;
  readonly settings?: Partial<SessionSettings>;
  readonly session?: Partial<SessionHost>;
  readonly platformName?: (local: string) => string;
  /** How much faster than the wall the session's and sender's clock runs. Default 20. */
  readonly speed?: number;
  /** The server is there, but nothing runs until `start`. */
  readonly idle?: boolean;
}

const never = new AbortController().signal;

/** A memory store without a practical limit. */
export function roomyStore(clock: Clock, log: MemoryLog): EventStore {
  return new MemoryStore(
    {
      kind: "memory",
      maxRecords: 1_000_000,
      maxBytes: undefined,
      ttlMs: 0,
      whenFull: "drop-oldest",
      durability: "durable",
      commitIntervalMs: 250,
      drain: "fifo",
    },
    { clock, log: log.log },
  );
}

/** A ThingsBoard double, a memory store, and a session and sender between them. */
export class UplinkRig implements AsyncDisposable {
  readonly server: ThingsBoardDouble;
  readonly store: EventStore;
  readonly session: Session;
  readonly sender: Sender;
  readonly log: MemoryLog;
  readonly #stop = new AbortController();
  #running: Promise<unknown> | undefined;

  private constructor(server: ThingsBoardDouble, options: RigOptions) {
    const clock = fastClock(options.speed ?? 20);
    this.server = server;
    this.log = memoryLog();
    this.store = roomyStore(systemClock, this.log);
    const { log } = this.log;
    this.session = new Session(
      { ...plainSettings(server.port), ...options.settings },
      { clock, log, ...options.session },
    );
    this.sender = new Sender({
      store: this.store,
      session: this.session,
      clock,
      log,
      ...(options.platformName === undefined ? {} : { platformName: options.platformName }),
    });
  }

  static async open(options: RigOptions = {}): Promise<UplinkRig> {
    const server = await ThingsBoardDouble.listen({ clock: systemClock, ...options.server });
    server.createGateway("GW", "gw-token");
    const rig = new UplinkRig(server, options);
    if (options.idle !== true) {
      rig.start();
    }
    return rig;
  }

  start(): void {
    const { signal } = this.#stop;
    this.#running = Promise.allSettled([this.session.run(signal), this.sender.run(signal)]);
  }

  /** Stores records of one or many devices. */
  async put(records: readonly EncodedRecord[]): Promise<void> {
    const writer = new BatchWriter();
    for (const record of records) {
      writer.add(record);
    }
    const { records: count, values } = writer;
    await this.store.append(writer.take(), count, { urgent: true, values }, never);
  }

  /** Waits until the store has forgotten everything. */
  async emptied(timeoutMs = 10_000): Promise<void> {
    await this.until("the store is empty", () => this.store.stats().records === 0, timeoutMs);
  }

  /** Waits for a condition of the gateway's side; it has no events of its own for that. */
  async until(what: string, condition: () => boolean, timeoutMs = 10_000): Promise<void> {
    const endMs = systemClock.monotonicMs() + timeoutMs;
    while (!condition()) {
      if (systemClock.monotonicMs() > endMs) {
        throw new TransientError(`Not within ${timeoutMs} ms: ${what}`);
      }
      await systemClock.sleep(2, never);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the test is over"));
    await this.#running;
    await this.store[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

/** The way to a double on this machine, with the token `gw-token`. */
export function plainSettings(port: number): SessionSettings {
  return {
    hosts: [{ host: "127.0.0.1", port }],
    keepAliveSeconds: 60,
    credentials: { kind: "accessToken", accessToken: "gw-token" },
    tls: undefined,
    maxPayloadBytes: undefined,
  };
}

/** One telemetry record `{"ts":…,"values":{"n":…}}`. */
export function telemetry(device: string, ts: number, n: number | string): EncodedRecord {
  const json = `{"ts":${ts},"values":{"n":${typeof n === "string" ? JSON.stringify(n) : n}}}`;
  return { kind: "telemetry", device, deviceType: "pump", json, values: 1 };
}
