import type { PlatformLink } from "./platform-link.ts";

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

/** Offers for devices, by device name, sent when the platform is there; the newest offer of a device wins. */
export class Claims {
  readonly #publisher: Publisher;
  readonly #platform: PlatformLink;
  readonly #waiting = new Map<string, Claim>();
  #sending = false;

  constructor(publisher: Publisher, platform: PlatformLink) {
    this.#publisher = publisher;
    this.#platform = platform;
    platform.onChange((connected) => {
      if (connected) {
        this.#send().catch(() => undefined); // What was not sent waits for the next connection.
      }
    });
  }

  /** Resolves when the offer is remembered or sent. */
  async claim(deviceName: string, claim: Claim): Promise<void> {
    this.#waiting.set(deviceName, claim);
    if (this.#platform.connected) {
      await this.#send().catch(() => undefined); // It stays remembered.
    }
  }

  async #send(): Promise<void> {
    if (this.#sending) {
      return;
    }
    this.#sending = true;
    try {
      for (const [deviceName, claim] of this.#waiting) {
        await this.#publisher.publish(
          "v1/gateway/claim",
          JSON.stringify({
            [deviceName]: { secretKey: claim.secretKey, durationMs: claim.durationMs },
          }),
        );
        if (this.#waiting.get(deviceName) === claim) {
          this.#waiting.delete(deviceName);
        }
      }
    } finally {
      this.#sending = false;
    }
  }
}
