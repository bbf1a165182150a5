import { REFUSED_RETRY_MS } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import type { AckDeadline } from "./ack-deadline.ts";
import { parseSessionLimits, type SessionLimits } from "./limits.ts";
import type { LinkEnd, LinkListener, MqttLink } from "./link.ts";
import { type Delivery, Outstanding } from "./outstanding.ts";
import {
  KEPT_REQUEST,
  KEPT_RESPONSE,
  LIMITS_REQUEST,
  LIMITS_RESPONSE,
  SUBSCRIPTIONS,
} from "./topics.ts";

const SUBACK_TIMEOUT_MS = 10_000;
const PONG_TIMEOUT_MS = 5000;
/** Part of the keep-alive interval after which a ping goes out, so that one lost second does not end the session. */
const KEEP_ALIVE_SHARE = 0.75;

/** The server answers as for a plain device: publishes on gateway topics stay without PUBACK. */
export const NOT_A_GATEWAY =
  'The platform ignores gateway messages: open the device in ThingsBoard and tick "Is gateway"';

/** What a connection needs and reports to. */
export interface ConnectionHost {
  readonly clock: Clock;
  readonly deadline: AckDeadline;
  /** Whether this process has ever had a PUBACK for a gateway message: the device is a gateway, then. */
  readonly isGateway: () => boolean;
  /** As `LinkListener.message`. */
  downlink(topic: string, payload: Uint8Array): Promise<boolean> | undefined;
  /** An answer to `getSessionLimits`, whenever it comes. */
  limits(limits: SessionLimits): void;
}

/** One connection from CONNACK to its end: subscriptions, limits, outstanding publishes, signs of life. */
export class Connection implements LinkListener {
  readonly outstanding: Outstanding;
  /** Resolves when the link has ended. */
  readonly ended: Promise<LinkEnd>;
  /** Set once publishing may begin, cleared as soon as the link ends: nothing may be written into a dead one. */
  open = false;
  readonly #host: ConnectionHost;
  readonly #end = Promise.withResolvers<LinkEnd>();
  readonly #limits = Promise.withResolvers<boolean>();
  readonly #kept = Promise.withResolvers<boolean>();
  #link: MqttLink | undefined;
  #limitsAnswered = false;
  #failure: TransientError | undefined;
  #pongTimer: Disposable | undefined;
  #keepAlive: Disposable | undefined;
  #probedMs: number | undefined;

  constructor(host: ConnectionHost) {
    this.#host = host;
    this.ended = this.#end.promise;
    this.outstanding = new Outstanding({
      clock: host.clock,
      deadline: host.deadline,
      probe: () => this.#probe(),
    });
  }

  get link(): MqttLink | undefined {
    return this.#link;
  }

  /** Why we ended it ourselves; `undefined` when we did not. */
  get failure(): TransientError | undefined {
    return this.#failure;
  }

  /** Takes the link over and begins to ping. */
  attach(link: MqttLink, keepAliveSeconds: number): void {
    this.#link = link;
    const seconds = link.properties.serverKeepAlive ?? keepAliveSeconds;
    this.#pingLater(seconds * 1000 * KEEP_ALIVE_SHARE);
  }

  /** Publishes with QoS 1. */
  write(topic: string, payload: string | Uint8Array, delivery: Delivery): void {
    this.#link?.publish(topic, payload, this.outstanding.add(topic, delivery));
  }

  /** Subscribes to everything; resolves with the filters the server refused. @throws TransientError without an answer in 10 s. */
  async subscribe(signal: AbortSignal): Promise<readonly string[]> {
    const link = this.#link;
    if (link === undefined) {
      return [];
    }
    const granted = Promise.all(SUBSCRIPTIONS.map((filter) => link.subscribe(filter)));
    const deadline = this.#host.clock.deadline(SUBACK_TIMEOUT_MS, signal);
    const codes = await this.until(granted, deadline);
    return SUBSCRIPTIONS.filter((_filter, index) => (codes[index] ?? 0x80) >= 0x80);
  }

  /** Asks for the session limits; resolves with whether there was a proper answer within `waitMs`. */
  async askLimits(waitMs: number, signal: AbortSignal): Promise<boolean> {
    this.write(LIMITS_REQUEST, '{"method":"getSessionLimits","params":{}}', IGNORE);
    using _timer = this.#host.clock.timer(waitMs, () => this.#limits.resolve(false));
    return await this.until(this.#limits.promise, signal);
  }

  /**
   * Asks for an attribute of the gateway's own device. The platform hands over the calls it kept for the gateway as soon as it
   * subscribes and answers in order, so the answer says that they are through. Resolves with whether it came within `waitMs`.
   */
  async askKept(waitMs: number, signal: AbortSignal): Promise<boolean> {
    this.write(KEPT_REQUEST, '{"sharedKeys":"keepAlive"}', IGNORE);
    using _timer = this.#host.clock.timer(waitMs, () => this.#kept.resolve(false));
    return await this.until(this.#kept.promise, signal);
  }

  /** `promise`, unless the link ends or `signal` aborts before. @throws TransientError, or the signal's reason. */
  async until<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
    const stop = Promise.withResolvers<never>();
    const onAbort = (): void => stop.reject(signal.reason);
    if (signal.aborted) {
      onAbort();
    }
    signal.addEventListener("abort", onAbort, { once: true });
    const ended = this.ended.then(() => {
      throw this.#failure ?? new TransientError("The platform closed the connection at once");
    });
    try {
      return await Promise.race([promise, ended, stop.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Ends the link because of `error`. */
  abandon(error: TransientError): void {
    this.open = false;
    this.#failure ??= error;
    this.#link?.destroy();
  }

  message(topic: string, payload: Uint8Array): Promise<boolean> | undefined {
    if (topic === KEPT_RESPONSE) {
      this.#kept.resolve(true);
      return undefined;
    }
    if (topic !== LIMITS_RESPONSE) {
      return this.#host.downlink(topic, payload);
    }
    const limits = parseSessionLimits(new TextDecoder().decode(payload));
    this.#limitsAnswered ||= limits !== undefined;
    if (limits !== undefined) {
      this.#host.limits(limits);
    }
    this.#limits.resolve(limits !== undefined);
    return undefined;
  }

  pong(): void {
    this.#stopPongTimer();
    const pastMs = this.#probedMs;
    this.#probedMs = undefined;
    if (pastMs === undefined) {
      return;
    }
    this.outstanding.alive(pastMs);
    const { outstanding } = this;
    if (this.#limitsAnswered && outstanding.gatewayAcks === 0 && outstanding.gatewayOverdue) {
      this.abandon(
        this.#host.isGateway()
          ? new TransientError("The platform acknowledges no gateway message on this connection")
          : new TransientError(NOT_A_GATEWAY, { retryAfterMs: REFUSED_RETRY_MS }),
      );
    } else if (outstanding.isClogged) {
      this.abandon(new TransientError("The platform lives but acknowledges too little"));
    }
  }

  closed(end: LinkEnd): void {
    this.open = false;
    this.#stopPongTimer();
    this.#keepAlive?.[Symbol.dispose]();
    this.#keepAlive = undefined;
    this.#end.resolve(end);
  }

  /** A PUBACK is overdue: ask for a sign of life, and be more patient from here on. */
  #probe(): void {
    this.#probedMs = this.#host.deadline.waitMs;
    this.#host.deadline.expired();
    this.#ping();
  }

  #ping(): void {
    this.#link?.ping();
    this.#pongTimer ??= this.#host.clock.timer(PONG_TIMEOUT_MS, () => {
      this.#pongTimer = undefined;
      this.abandon(new TransientError("The platform does not answer a ping"));
    });
  }

  #pingLater(intervalMs: number): void {
    if (intervalMs <= 0) {
      return;
    }
    this.#keepAlive = this.#host.clock.timer(intervalMs, () => {
      this.#ping();
      this.#pingLater(intervalMs);
    });
  }

  #stopPongTimer(): void {
    this.#pongTimer?.[Symbol.dispose]();
    this.#pongTimer = undefined;
  }
}

const IGNORE: Delivery = {
  acked: () => undefined,
  overdue: () => undefined,
  lost: () => undefined,
};
