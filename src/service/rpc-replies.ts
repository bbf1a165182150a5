import { Alarm } from "#sdk/alarm";
import type { Clock } from "#sdk/clock";
import { RejectedError } from "#sdk/errors";
import { type Logger, rateLimited } from "#sdk/logger";
import { isUnsent } from "#sdk/unsent";
import type { Publisher } from "./claims.ts";
import type { PlatformLink } from "./platform-link.ts";

/** Most replies without a PUBACK at one time: far below what the publish queue takes, which others use too. */
const MAX_IN_FLIGHT = 64;
/** Most replies that wait for the platform, and most characters of them. */
const MAX_WAITING = 10_000;
const MAX_WAITING_LENGTH = 16 * 1024 * 1024;
/** Pause after the publish queue was full, or the platform had no capacity. */
const AGAIN_MS = 250;
/** Refusals that pass: unspecified (the device could not be opened), busy, quota exceeded (MQTT 5, 2.4). */
const PASSING: ReadonlySet<string> = new Set(["code-0x80", "code-0x89", "code-0x97"]);

/** One reply on its way. */
export interface Reply {
  readonly topic: string;
  /** Called when it is sent: names may change until then. */
  readonly payload: () => string;
  readonly length: number;
  /** Monotonic milliseconds from which on nobody waits for it. */
  readonly deadlineMs: number;
  /** For the log: what it is the reply to. */
  readonly about: Readonly<Record<string, string | number>>;
  /** The platform takes no message of this size. */
  readonly tooLarge: () => void;
}

/** What became of replies, since the start. */
export interface ReplyCounts {
  readonly sent: number;
  /** Nobody waited any more when it could have been sent. */
  readonly late: number;
  /** The link was lost before the PUBACK: the platform repeats the call if it has no reply. */
  readonly unacknowledged: number;
  readonly refused: number;
  /** Too many waited. */
  readonly dropped: number;
}

/** Sends replies ahead of all data; one that cannot leave waits for the platform until its deadline, and is never sent after it. */
export class RpcReplies implements Disposable {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #publisher: Publisher;
  readonly #platform: PlatformLink;
  readonly #subscription: Disposable;
  readonly #counts = { sent: 0, late: 0, unacknowledged: 0, refused: 0, dropped: 0 };
  #waiting: Reply[] = [];
  #waitingLength = 0;
  #inFlight = 0;
  #again: Disposable | undefined;
  /** Gives up what has waited too long. */
  readonly #expiry: Alarm;
  #idle: (() => void)[] = [];

  constructor(deps: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly publisher: Publisher;
    readonly platform: PlatformLink;
  }) {
    this.#clock = deps.clock;
    this.#log = rateLimited(deps.log, deps.clock);
    this.#publisher = deps.publisher;
    this.#platform = deps.platform;
    this.#expiry = new Alarm(deps.clock, () => this.#dropExpired());
    this.#subscription = deps.platform.onChange(() => this.#pump());
  }

  get counts(): ReplyCounts {
    return { ...this.#counts };
  }

  /** Sends a reply as soon as that is possible. */
  send(reply: Reply): void {
    this.#waiting.push(reply);
    this.#waitingLength += reply.length;
    if (this.#waiting.length > MAX_WAITING || this.#waitingLength > MAX_WAITING_LENGTH) {
      this.#dropExpired();
    }
    while (this.#waiting.length > MAX_WAITING || this.#waitingLength > MAX_WAITING_LENGTH) {
      this.#drop(this.#shift(), "dropped");
    }
    this.#pump();
    if (this.#waiting.length > 0) {
      this.#expiry.at(reply.deadlineMs);
    }
  }

  /** Resolves when every reply has its PUBACK or has been given up, at the latest after `waitMs`. */
  async settled(waitMs: number): Promise<void> {
    if (this.#isIdle) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#clock.timer(waitMs, resolve);
    this.#idle.push(resolve);
    await promise;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#again?.[Symbol.dispose]();
    this.#expiry[Symbol.dispose]();
    this.#waiting = [];
  }

  /** While the platform is away nothing can be waited for: the process may end. */
  get #isIdle(): boolean {
    return this.#inFlight === 0 && (this.#waiting.length === 0 || !this.#platform.connected);
  }

  #pump(): void {
    while (
      this.#platform.connected &&
      this.#again === undefined &&
      this.#inFlight < MAX_IN_FLIGHT &&
      this.#waiting.length > 0
    ) {
      const reply = this.#shift();
      if (reply !== undefined && this.#isLate(reply)) {
        this.#drop(reply, "late");
      } else if (reply !== undefined) {
        this.#publish(reply);
      }
    }
    if (this.#isIdle) {
      for (const resolve of this.#idle.splice(0)) {
        resolve();
      }
    }
  }

  #publish(reply: Reply): void {
    this.#inFlight += 1;
    this.#publisher
      .publish(reply.topic, reply.payload(), reply.deadlineMs - this.#clock.monotonicMs())
      .then(
        () => {
          this.#counts.sent += 1;
        },
        (error: unknown) => this.#failed(reply, error),
      )
      .finally(() => {
        this.#inFlight -= 1;
        this.#pump();
      })
      .catch((error: unknown) => this.#log.error("Cannot send replies", { error }));
  }

  #failed(reply: Reply, error: unknown): void {
    if (error instanceof RejectedError && error.reason === "too-large") {
      reply.tooLarge();
    } else if (this.#isLate(reply)) {
      this.#drop(reply, "late");
    } else if (isUnsent(error) || (error instanceof RejectedError && PASSING.has(error.reason))) {
      this.#waiting.unshift(reply);
      this.#waitingLength += reply.length;
      this.#again ??= this.#clock.timer(AGAIN_MS, () => {
        this.#again = undefined;
        this.#pump();
      });
    } else if (error instanceof RejectedError) {
      this.#counts.refused += 1;
      this.#log.warn("The platform refuses a reply", { ...reply.about, error });
    } else {
      // It may have arrived. If it has not, the platform repeats the call after the reconnect and gets this very reply then.
      this.#counts.unacknowledged += 1;
      this.#log.debug("A reply was sent and not acknowledged", { ...reply.about, error });
    }
  }

  #isLate(reply: Reply): boolean {
    return this.#clock.monotonicMs() >= reply.deadlineMs;
  }

  #shift(): Reply | undefined {
    const reply = this.#waiting.shift();
    this.#waitingLength -= reply?.length ?? 0;
    return reply;
  }

  #dropExpired(): void {
    const kept: Reply[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const reply of this.#waiting) {
      if (this.#isLate(reply)) {
        this.#waitingLength -= reply.length;
        this.#drop(reply, "late");
      } else {
        nextMs = Math.min(nextMs, reply.deadlineMs);
        kept.push(reply);
      }
    }
    this.#waiting = kept;
    if (kept.length > 0) {
      this.#expiry.at(Math.max(nextMs, this.#clock.monotonicMs() + AGAIN_MS));
    }
  }

  #drop(reply: Reply | undefined, reason: "late" | "dropped"): void {
    if (reply !== undefined) {
      this.#counts[reason] += 1;
      this.#log.warn("A reply could not be sent in time", { ...reply.about, reason });
    }
  }
}
