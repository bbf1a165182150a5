import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import type { Faults } from "./faults.ts";
import { Listener, type TlsOptions } from "./listener.ts";
import { type DownlinkEvent, Platform, type PublishEvent, type ValueEvent } from "./platform.ts";
import type { Session } from "./session.ts";
import type { Counters, ServerVersion, Timings } from "./settings.ts";
import { Tenant } from "./tenant.ts";
import type { TranscriptEntry } from "./transcript.ts";

/** How to start a double. */
export interface ThingsBoardOptions {
  readonly clock: Clock;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  readonly tls?: TlsOptions;
  /** Release to behave like. Default 4.3. */
  readonly version?: ServerVersion;
  /** `count` keeps of every series only the number of its values and the latest one. Default `full`. */
  readonly store?: "full" | "count";
  /** Newest points kept of each series. Default: all. */
  readonly retainSeries?: number;
  /** Keeps the packets of all connections (16 MiB or 50,000 at most). Default: only while all points are kept. */
  readonly keepTranscript?: boolean;
}

/** A live connection as a test sees it. */
export interface SessionInfo {
  /** Counts connections from 1. */
  readonly connection: number;
  readonly clientId: string;
  /** Undefined before CONNACK and for a provisioning client. */
  readonly device: string | undefined;
  /** 3: MQTT 3.1, 4: MQTT 3.1.1, 5: MQTT 5; undefined before CONNECT. */
  readonly level: 3 | 4 | 5 | undefined;
  readonly filters: readonly string[];
  readonly children: readonly string[];
}

/** How long `until` waits by default. */
const UNTIL_MS = 5_000;

/**
 * A ThingsBoard server as a gateway sees it: the MQTT Device API and Gateway API over one in-memory tenant, with the
 * quirks of the real server, switches for its faults, and a view of everything that arrived. Owns its port, its
 * connections and its timers until it is disposed.
 */
export class ThingsBoardDouble extends Tenant implements AsyncDisposable {
  readonly #platform: Platform;
  readonly #listener: Listener;
  #sweepTimer: Disposable | undefined;
  #metricsDueMs: number;
  #checkDueMs: number;

  private constructor(options: ThingsBoardOptions) {
    const retainSeries = options.store === "count" ? 0 : options.retainSeries;
    const platform = new Platform({
      clock: options.clock,
      version: options.version ?? "4.3",
      retainSeries,
      keepTranscript: options.keepTranscript ?? retainSeries === undefined,
    });
    super(platform);
    this.#platform = platform;
    const { host = "127.0.0.1", port = 0, tls } = options;
    this.#listener = new Listener(this.#platform, { host, port, tls });
    const nowMs = options.clock.monotonicMs();
    this.#metricsDueMs = nowMs + this.#platform.timings.metricsMs;
    this.#checkDueMs = nowMs + this.#platform.timings.stateCheckMs;
  }

  /** Starts a double that listens. @throws TransientError when the port is taken. */
  static async listen(options: ThingsBoardOptions): Promise<ThingsBoardDouble> {
    const double = new ThingsBoardDouble(options);
    await double.#listener.open();
    double.#sweepLater();
    return double;
  }

  /** The port it listens on; stays the same over `down` and `up`. */
  get port(): number {
    return this.#listener.port;
  }

  /** The fault switches; all off at first. */
  get faults(): Faults {
    return this.#platform.faults;
  }

  /** The server's time-outs; a change counts from the next use. */
  get timings(): Timings {
    return this.#platform.timings;
  }

  /** A copy of the totals. */
  counters(): Readonly<Counters> {
    return { ...this.#platform.counters };
  }

  /** Ends the connection of a device, or one given by its number; MQTT 5 clients see `code` in a DISCONNECT. False: there is none. */
  kick(target: string | number, code: number): boolean {
    const session = this.#listener
      .sessions()
      .find(({ boundDevice, connection }) =>
        typeof target === "number" ? connection.number === target : boundDevice?.name === target,
      );
    session?.connection.close(code);
    return session !== undefined;
  }

  /** The live connections, oldest first. */
  sessions(): readonly SessionInfo[] {
    return this.#listener.sessions().map((session) => sessionInfo(session));
  }

  /** The kept packets in the order they were handled; empty when no transcript is kept. */
  transcript(): readonly TranscriptEntry[] {
    return this.#platform.transcript?.entries() ?? [];
  }

  /** Calls `listener` for every publish of a device, before it is handled. */
  onPublish(listener: (event: PublishEvent) => void): Disposable {
    this.#platform.publishListeners.add(listener);
    return { [Symbol.dispose]: () => this.#platform.publishListeners.delete(listener) };
  }

  /** Calls `listener` for every message to a device, before it is sent. */
  onDownlink(listener: (event: DownlinkEvent) => void): Disposable {
    this.#platform.downlinkListeners.add(listener);
    return { [Symbol.dispose]: () => this.#platform.downlinkListeners.delete(listener) };
  }

  /** Calls `listener` for every value that is stored. */
  onValue(listener: (event: ValueEvent) => void): Disposable {
    this.#platform.valueListeners.add(listener);
    return { [Symbol.dispose]: () => this.#platform.valueListeners.delete(listener) };
  }

  /** Resolves as soon as `condition` holds; it is looked at after everything that happens. @throws TransientError after `timeoutMs`. */
  async until(condition: () => boolean, timeoutMs = UNTIL_MS): Promise<void> {
    if (condition()) {
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    using stack = new DisposableStack();
    stack.use(this.#platform.onChange(() => (condition() ? resolve() : undefined)));
    stack.use(
      this.#platform.clock.timer(timeoutMs, () =>
        reject(new TransientError(`The condition did not come true within ${timeoutMs} ms`)),
      ),
    );
    await promise;
  }

  /** The server dies: nothing listens, every connection is cut, waiting calls fail. What is stored stays. */
  async down(): Promise<void> {
    await this.#listener.close();
    this.#platform.rpc.restart();
  }

  /** The server is back on the same port, with what it had stored. @throws TransientError when the port is taken. */
  async up(): Promise<void> {
    await this.#listener.open();
  }

  /** Closes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#sweepTimer?.[Symbol.dispose]();
    this.#sweepTimer = undefined;
    await this.#listener.close();
    this.#platform.dispose();
  }

  #sweepLater(): void {
    const { clock, timings } = this.#platform;
    this.#sweepTimer = clock.timer(timings.sweepMs, () => {
      this.#sweep(clock.monotonicMs());
      this.#sweepLater();
    });
  }

  #sweep(nowMs: number): void {
    this.#listener.sweep();
    if (nowMs >= this.#metricsDueMs) {
      this.#metricsDueMs = nowMs + this.#platform.timings.metricsMs;
      this.#platform.reportMetrics();
    }
    if (nowMs >= this.#checkDueMs) {
      this.#checkDueMs = nowMs + this.#platform.timings.stateCheckMs;
      this.#platform.checkDevices();
    }
    this.#platform.changed();
  }
}

function sessionInfo(session: Session): SessionInfo {
  const { connection, clientId, boundDevice, filters, childNames } = session;
  const { number, level } = connection;
  return {
    connection: number,
    clientId,
    device: boundDevice?.name,
    level,
    filters,
    children: childNames,
  };
}
