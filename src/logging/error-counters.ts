import type { Clock } from "#sdk/clock";
import type { LogRecord } from "#sdk/logger";
import { channelOf, isConnectorChannel } from "./levels.ts";
import type { LogPublisher, RemoteLogsOptions } from "./remote.ts";

/** What the error counters need of their surroundings. */
export interface ErrorCountersOptions {
  readonly clock: Clock;
  readonly publisher: LogPublisher;
  readonly platform: RemoteLogsOptions["platform"];
}

const TOPIC = "v1/devices/me/telemetry";
/** The counts go out at most this often, and only when they have changed. */
const SEND_EVERY_MS = 5000;
/** They start again after this. */
const RESET_EVERY_MS = 60_000;
const ALL = "ALL_ERRORS_COUNT";

/**
 * How many errors each connector and each part of the gateway has logged in the current minute, as telemetry of the gateway's
 * own device. While there are no errors it does nothing at all.
 */
export class ErrorCounters implements Disposable {
  readonly #options: ErrorCountersOptions;
  readonly #platformChange: Disposable;
  readonly #counts = new Map<string, number>();
  /** The payload the platform knows. */
  #sent = "";
  #sendTimer: Disposable | undefined;
  #resetTimer: Disposable | undefined;
  #sending = false;
  #closed = false;

  constructor(options: ErrorCountersOptions) {
    this.#options = options;
    this.#platformChange = options.platform.onChange(() => this.#sendSoon());
  }

  /** Counts a line that is an error; any other is left alone. */
  offer(record: LogRecord): void {
    if (record.level !== "error" || this.#closed) {
      return;
    }
    const key = keyOf(record);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    this.#resetTimer ??= this.#options.clock.timer(RESET_EVERY_MS, () => this.#reset());
    this.#sendSoon();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#platformChange[Symbol.dispose]();
    this.#sendTimer?.[Symbol.dispose]();
    this.#resetTimer?.[Symbol.dispose]();
  }

  /** The zeros are sent, once; a minute without errors needs no other. */
  #reset(): void {
    this.#resetTimer = undefined;
    for (const key of this.#counts.keys()) {
      this.#counts.set(key, 0);
    }
    this.#sendSoon();
  }

  #sendSoon(): void {
    const { clock, platform } = this.#options;
    const isNews = this.#counts.size > 0 && this.#payload() !== this.#sent;
    if (!isNews || !platform.connected || this.#sending || this.#closed) {
      return;
    }
    this.#sendTimer ??= clock.timer(SEND_EVERY_MS, () => {
      this.#sendTimer = undefined;
      this.#send().catch(() => undefined); // What was not sent is sent later, as it is then.
    });
  }

  async #send(): Promise<void> {
    const payload = this.#payload();
    this.#sending = true;
    try {
      await this.#options.publisher.publish(TOPIC, payload);
      this.#sent = payload;
    } finally {
      this.#sending = false;
      this.#sendSoon();
    }
  }

  #payload(): string {
    let sum = 0;
    const values: Record<string, number> = {};
    for (const [key, count] of this.#counts) {
      values[key] = count;
      sum += count;
    }
    return JSON.stringify({ ...values, [ALL]: sum });
  }
}

/** A connector and its converters count together. */
function keyOf(record: LogRecord): string {
  const channel = channelOf(record);
  const name = isConnectorChannel(channel) ? record.source : channel;
  return `${name}_ERRORS_COUNT`;
}
