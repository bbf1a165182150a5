import type { Clock } from "#sdk/clock";
import { RejectedError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { Announced } from "./announced.ts";
import type { PlatformLink } from "./platform-link.ts";

/** Most offers that wait for the platform; the oldest goes first. */
const MAX_WAITING = 10_000;
/** Pause before an offer is sent again that was not acknowledged over a link that is up. */
const AGAIN_MS = 10_000;
/** How long an offer stands that does not say: as long as the platform keeps it. */
const DEFAULT_DURATION_MS = 86_400_000;

/** What a customer must show to claim a device, and for how long the offer stands. */
export interface Claim {
  readonly secretKey: string;
  readonly durationMs: number;
}

/** Sends a message that is not kept. */
export interface Publisher {
  /** `withinMs`: what has not left by then is not sent any more. */
  publish(topic: string, payload: string, withinMs?: number): Promise<void>;
}

/** What offers need of their surroundings. */
export interface ClaimsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly publisher: Publisher;
  readonly platform: PlatformLink;
  readonly announced: Announced;
  readonly devices: {
    platformName(deviceName: string): string;
    get(deviceName: string): { readonly connected: boolean } | undefined;
  };
}

interface Offer extends Claim {
  /** Monotonic milliseconds at which it ends. */
  readonly endMs: number;
}

/**
 * Offers for devices, by device name, sent when the platform is there and knows the device; the newest offer of a device wins. One that
 * ended before it could be sent is given up.
 */
export class Claims implements Disposable {
  readonly #deps: ClaimsDeps;
  readonly #waiting = new Map<string, Offer>();
  readonly #stack = new DisposableStack();
  #isSending = false;
  #hasChanged = false;
  #again: Disposable | undefined;

  constructor(deps: ClaimsDeps) {
    this.#deps = deps;
    this.#stack.use(deps.announced.onAnnounced((name) => this.#announced(name)));
    this.#stack.use(
      deps.platform.onChange((connected) => {
        if (connected) {
          this.#sendSoon();
        }
      }),
    );
  }

  /** Resolves when the offer is remembered or sent. */
  async claim(deviceName: string, claim: Claim): Promise<void> {
    const durationMs = claim.durationMs > 0 ? claim.durationMs : DEFAULT_DURATION_MS;
    const endMs = this.#deps.clock.monotonicMs() + durationMs;
    this.#waiting.delete(deviceName);
    this.#waiting.set(deviceName, { secretKey: claim.secretKey, durationMs, endMs });
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size > MAX_WAITING && oldest !== undefined) {
      this.#giveUp(oldest, "too many offers wait");
    }
    this.#sendSoon();
    return await Promise.resolve();
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
    this.#again?.[Symbol.dispose]();
    this.#waiting.clear();
  }

  #announced(deviceName: string): void {
    if (this.#waiting.has(deviceName)) {
      this.#sendSoon();
    }
  }

  /** One round at a time; what changes during one is for the next. */
  #sendSoon(): void {
    this.#hasChanged = true;
    if (!this.#isSending) {
      this.#isSending = true;
      this.#sendAll().catch((error: unknown) =>
        this.#deps.log.error("Cannot send offers", { error }),
      );
    }
  }

  async #sendAll(): Promise<void> {
    try {
      while (this.#hasChanged) {
        this.#hasChanged = false;
        await this.#sendRound();
      }
    } finally {
      // In the same turn as the last look at `#hasChanged`, or a change in between would be missed.
      this.#isSending = false;
    }
  }

  async #sendRound(): Promise<void> {
    const { clock, platform } = this.#deps;
    for (const [deviceName, offer] of this.#waiting) {
      if (!platform.connected) {
        return;
      }
      if (clock.monotonicMs() >= offer.endMs) {
        this.#giveUp(deviceName, "its time was over before the platform was there");
      } else if (this.#isKnown(deviceName)) {
        await this.#publish(deviceName, offer);
      }
    }
  }

  /** A device of ours is announced first: an offer would create it under the default profile. */
  #isKnown(deviceName: string): boolean {
    const { announced, devices } = this.#deps;
    return announced.has(deviceName) || devices.get(deviceName)?.connected !== true;
  }

  async #publish(deviceName: string, offer: Offer): Promise<void> {
    const { clock, devices, publisher } = this.#deps;
    const leftMs = Math.ceil(offer.endMs - clock.monotonicMs());
    const { secretKey } = offer;
    const payload = { [devices.platformName(deviceName)]: { secretKey, durationMs: leftMs } };
    try {
      await publisher.publish("v1/gateway/claim", JSON.stringify(payload), leftMs);
    } catch (error) {
      if (error instanceof RejectedError) {
        this.#giveUp(deviceName, error.message);
      } else {
        // It is sent again: at the next connect, or after a pause.
        this.#again?.[Symbol.dispose]();
        this.#again = clock.timer(AGAIN_MS, () => this.#sendSoon());
      }
      return;
    }
    if (this.#waiting.get(deviceName) === offer) {
      this.#waiting.delete(deviceName);
    }
  }

  #giveUp(deviceName: string, reason: string): void {
    this.#waiting.delete(deviceName);
    this.#deps.log.warn("An offer to claim a device is given up", { device: deviceName, reason });
  }
}
