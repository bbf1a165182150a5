import type { Clock } from "#sdk/clock";
import { errorText, type TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { type EpochMs, epochMs } from "#sdk/model";
import { supervise } from "#sdk/supervise";
import { AckDeadline } from "./ack-deadline.ts";
import { MAX_WINDOW } from "./adaptive-window.ts";
import { Connection } from "./connection.ts";
import { Dialer } from "./dialer.ts";
import { type DownlinkListener, DownlinkListeners } from "./downlink-listeners.ts";
import { DEFAULT_LIMITS, type SessionLimits } from "./limits.ts";
import type { LinkEnd, MqttLink } from "./link.ts";
import type { Delivery } from "./outstanding.ts";
import { type PublishOptions, PublishQueue, type Waiting } from "./publish-queue.ts";
import { Rates } from "./rates.ts";
import { SessionStart } from "./session-start.ts";
import { endError, type LinkState, type SessionState, stateAfter } from "./session-state.ts";
import type { SessionSettings } from "./settings.ts";
import { payloadLimit } from "./split.ts";
import { TakeOvers } from "./take-overs.ts";
import type { Lookup } from "./transport.ts";

/** Someone who publishes over the session. All calls come in the order of events and must not throw. */
export interface SessionUser {
  /** Connected and subscribed: publishing may begin. Each connection starts with no device known to the server. */
  opened(): void;
  /** Every publish without a PUBACK has been reported `lost` before this. */
  closed(end: LinkEnd): void;
  /** There is room for a publish again. */
  writable(): void;
}

/** What a session needs; `limitsWaitMs` is the longest wait for the answer to `getSessionLimits` on the first connection. */
export interface SessionHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly limitsWaitMs?: number;
  /** Looks up all addresses of a name; the system's resolver when absent. */
  readonly lookup?: Lookup;
  /** See `SessionStart`. */
  readonly handled?: () => Promise<void>;
  /** Called when `state.link` has changed. */
  readonly onState?: () => void;
}

/** ThingsBoard ends a session with more than 100 queued packets. */
const MAX_IN_FLIGHT = 98;
/**
 * The MQTT session with the platform: connects, subscribes after every CONNACK, learns the limits, keeps the link honest with
 * PUBACK deadlines and pings, hands downlinks over and connects again, for ever. It sends nothing twice by itself.
 */
export class Session {
  readonly #settings: SessionSettings;
  readonly #host: SessionHost;
  readonly #dialer: Dialer;
  readonly #deadline = new AckDeadline();
  readonly #takeOvers = new TakeOvers();
  readonly #users = new Set<SessionUser>();
  readonly #downlinks = new DownlinkListeners();
  readonly #queue: PublishQueue;
  readonly #start: SessionStart;
  /** What may be sent, and when. */
  readonly rates: Rates;
  #connection: Connection | undefined;
  #limits = DEFAULT_LIMITS;
  #link: LinkState = "idle";
  #detail = "";
  #since: EpochMs;
  #retryAt: EpochMs | undefined;
  #hostName: string | undefined;
  #isGateway = false;
  /** Says that the link is up, while that is still to be said. */
  #proven: (() => void) | undefined;
  #connects = 0;
  #published = 0;
  #wireBytesBefore = 0;

  constructor(settings: SessionSettings, host: SessionHost) {
    this.#settings = settings;
    this.#host = host;
    this.#dialer = new Dialer(settings, host);
    this.rates = new Rates(host.clock, settings.rates);
    this.#start = new SessionStart({ ...host, rates: this.rates });
    this.#queue = new PublishQueue({
      clock: host.clock,
      rates: this.rates,
      isOpen: () => this.isOpen,
      hasRoom: () => this.hasRoom,
      write: (message) => this.#write(message),
    });
    this.#since = host.clock.now();
  }

  get state(): SessionState {
    const connection = this.#connection;
    const link = connection?.link;
    return {
      link: this.#link,
      detail: this.#detail,
      host: this.#hostName,
      protocol: link === undefined ? undefined : link.version === 5 ? "5" : "3.1.1",
      since: this.#since,
      retryAt: this.#retryAt,
      limits: this.#limits,
      refusedFilters: this.#start.refusedFilters,
      connects: this.#connects,
      published: this.#published,
      wireBytes: this.#wireBytesBefore + (link?.bytesWritten ?? 0),
      rttMs: this.#deadline.rttMs,
      inFlight: connection?.outstanding.count ?? 0,
    };
  }

  /** Whether publishing is possible at all; `hasRoom` says whether it is at this moment. */
  get isOpen(): boolean {
    return this.#connection?.open === true;
  }

  /** Whether one more publish may be in flight. */
  get hasRoom(): boolean {
    const connection = this.#connection;
    return connection?.open === true && connection.outstanding.count < this.#capacity(connection);
  }

  /** Most data publishes to keep in flight: 32 or what is configured, less when the server or a slow line asks for it. */
  get window(): number {
    const configured = Math.min(
      MAX_IN_FLIGHT,
      Math.max(1, this.#settings.maxInFlight ?? MAX_WINDOW),
    );
    const connection = this.#connection;
    const allowed = connection === undefined ? configured : this.#capacity(connection);
    return this.#deadline.window(Math.min(configured, allowed));
  }

  /** Largest payload of one publish in bytes. */
  get payloadLimit(): number {
    return payloadLimit({
      remainingLength: this.#limits.maxPayloadSize,
      maximumPacketSize: this.#connection?.link?.properties.maximumPacketSize,
      configured: this.#settings.maxPayloadBytes,
    });
  }

  /** What the server last told of its limits; ThingsBoard's defaults before. */
  get limits(): SessionLimits {
    return this.#limits;
  }

  /** MQTT 5 tells why it refuses; under 3.1.1 a refusal looks like a PUBACK followed by a close. */
  get tellsReasons(): boolean {
    return this.#connection?.link?.version !== 4;
  }

  /** Takes part in every connection from here on, also one that is already open. */
  attach(user: SessionUser): Disposable {
    this.#users.add(user);
    if (this.isOpen) {
      user.opened();
    }
    return { [Symbol.dispose]: () => this.#users.delete(user) };
  }

  /**
   * Hands over every message from the platform but the answer to `getSessionLimits`. The last listener decides over the
   * PUBACK. The first one gets what came before it.
   */
  onDownlink(listener: DownlinkListener): Disposable {
    return this.#downlinks.add(listener);
  }

  /** Publishes with QoS 1 at once; false, and nothing sent, when there is no room. The caller pays `rates`. */
  send(topic: string, payload: string | Uint8Array, delivery: Delivery): boolean {
    if (!this.hasRoom) {
      return false;
    }
    this.#write({ topic, payload, delivery });
    return true;
  }

  /** Whether messages wait that go ahead of announcements and data. */
  get hasWaiting(): boolean {
    return this.#queue.size > 0;
  }

  /**
   * Publishes with QoS 1 ahead of everything that has not been sent, within the limits; resolves with the reason code of the
   * PUBACK (0 under 3.1.1), also a refusing one. @throws TransientError as `PublishQueue.publish`.
   */
  publish(
    topic: string,
    payload: string | Uint8Array,
    signal: AbortSignal,
    options: PublishOptions = {},
  ): Promise<number> {
    return this.#queue.publish(topic, payload, signal, options);
  }

  /** Connects and stays connected until `signal` aborts; then sends DISCONNECT and rejects with its reason. */
  async run(signal: AbortSignal): Promise<never> {
    const hosts = this.#settings.hosts.map(({ host, port }) => `${host}:${port}`).join(", ");
    try {
      return await supervise(
        {
          name: `platform ${hosts}`,
          host: this.#host,
          run: (inner, healthy) => this.#connect(healthy, inner),
          paused: (delayMs) => this.#pause(delayMs),
        },
        signal,
      );
    } finally {
      this.#retryAt = undefined;
      this.#set("stopped", "");
    }
  }

  /** Ends the current connection because of `error`; the next one follows after the usual pause. */
  abandon(error: TransientError): void {
    this.#connection?.abandon(error);
  }

  #pause(delayMs: number): void {
    this.#retryAt = epochMs(this.#host.clock.now() + delayMs);
    this.#host.onState?.();
  }

  async #connect(healthy: () => void, signal: AbortSignal): Promise<void> {
    this.#retryAt = undefined;
    this.#set("connecting", "");
    const connection = new Connection({
      clock: this.#host.clock,
      deadline: this.#deadline,
      isGateway: () => this.#isGateway,
      downlink: (topic, payload) => this.#downlink(topic, payload),
      limits: (limits) => this.#learn(limits),
    });
    try {
      const endpoint = await this.#dialer.next(signal);
      this.#hostName = `${endpoint.host}:${endpoint.port}`;
      const link = await this.#dialer.open(endpoint, connection, signal);
      connection.attach(link, this.#settings.keepAliveSeconds);
      await this.#serve(connection, link, healthy, signal);
    } catch (error) {
      if (!signal.aborted) {
        this.#set(stateAfter(error), errorText(error));
      }
      throw error;
    }
  }

  async #serve(
    connection: Connection,
    link: MqttLink,
    healthy: () => void,
    signal: AbortSignal,
  ): Promise<never> {
    this.#connection = connection;
    this.#connects += 1;
    let wasOpen = false;
    let trust: Disposable | undefined;
    try {
      await this.#start.prepare(connection, signal);
      this.#proven = () => {
        this.#proven = undefined;
        trust = this.#trust(healthy);
        this.#set("connected", "");
      };
      // A plain device connects and subscribes like a gateway: after that was the trouble, only a PUBACK proves otherwise.
      if (this.#link !== "not-a-gateway") {
        this.#proven();
      }
      connection.open = true;
      wasOpen = true;
      for (const user of this.#users) {
        user.opened();
      }
      const end = await connection.until(connection.ended, signal);
      const takenOver = this.#takeOvers.ended(end.code, this.#host.clock.monotonicMs());
      throw connection.failure ?? takenOver ?? endError(end);
    } finally {
      this.#proven = undefined;
      trust?.[Symbol.dispose]();
      connection.open = false;
      await (signal.aborted ? link.disconnect() : link.destroy());
      const end = await connection.ended;
      this.#wireBytesBefore += link.bytesWritten;
      this.#connection = undefined;
      connection.outstanding[Symbol.dispose]();
      this.#queue.clear();
      if (wasOpen) {
        for (const user of this.#users) {
          user.closed(end);
        }
      }
    }
  }

  /** Says that the link is up: at once, or when nobody has taken the session over for a minute. */
  #trust(healthy: () => void): Disposable | undefined {
    if (!this.#takeOvers.isContested) {
      healthy();
      return undefined;
    }
    return this.#host.clock.timer(this.#takeOvers.trustAfterMs, () => {
      this.#takeOvers.lasted();
      healthy();
    });
  }

  #learn(limits: SessionLimits): void {
    this.#start.limitsAnswered();
    this.#limits = limits;
    this.rates.learn(limits);
  }

  #downlink(topic: string, payload: Uint8Array): Promise<boolean> | undefined {
    this.rates.received(topic, payload);
    return this.#downlinks.receive(topic, payload);
  }

  #capacity(connection: Connection): number {
    return Math.max(
      1,
      Math.min(
        MAX_IN_FLIGHT,
        this.#limits.maxInflightMessages,
        connection.link?.properties.receiveMaximum ?? MAX_IN_FLIGHT,
      ),
    );
  }

  #write(message: Waiting): void {
    const { delivery } = message;
    const connection = this.#connection;
    if (connection === undefined) {
      return;
    }
    this.#published += 1;
    connection.write(message.topic, message.payload, {
      acked: (code) => {
        if (connection.outstanding.gatewayAcks > 0) {
          this.#isGateway = true;
          this.#proven?.();
        }
        delivery.acked(code);
        this.#hasRoomAgain();
      },
      overdue: () => delivery.overdue(),
      lost: () => delivery.lost(),
    });
  }

  #hasRoomAgain(): void {
    this.#queue.flush();
    if (this.hasRoom) {
      for (const user of this.#users) {
        user.writable();
      }
    }
  }

  #set(link: LinkState, detail: string): void {
    if (link === "connecting" && (this.#link === "refused" || this.#link === "not-a-gateway")) {
      return; // What a person must do stays visible until a connection proves otherwise.
    }
    if (this.#link !== link) {
      this.#since = this.#host.clock.now();
    }
    const changed = this.#link !== link;
    this.#link = link;
    this.#detail = detail;
    if (changed) {
      this.#host.onState?.();
    }
  }
}
