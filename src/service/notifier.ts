import { sendDatagram } from "#platform/notify";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { countText } from "./plain-words.ts";
import type { GatewayStatus } from "./status.ts";
import type { SupervisorLink } from "./supervisor-link.ts";

/** Without a watchdog the line for people is sent this often. */
const STATUS_EVERY_MS = 60_000;
/** The watchdog is told so many times within its time, so that one slow answer of the disk ends nothing. */
const PER_PERIOD = 3;

/** Where to, and with what. */
export interface NotifierOptions {
  /** `NOTIFY_SOCKET`. */
  readonly place: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Default: to the socket. */
  readonly send?: (place: string, text: string) => void;
}

/**
 * Speaks sd_notify(3). The watchdog is told only after the delivery thread has answered, from the event loop of the collection thread: so
 * both are alive.
 */
export class Notifier implements SupervisorLink {
  readonly #options: NotifierOptions;
  readonly #watchdog: boolean;
  readonly #everyMs: number;
  readonly #stop = new AbortController();
  #log: Logger | undefined;
  #feeding: Promise<void> = Promise.resolve();
  #unreachable = false;

  constructor(options: NotifierOptions) {
    this.#options = options;
    const { WATCHDOG_USEC: micros = "", WATCHDOG_PID: pid } = options.env;
    const periodMs = Number(micros) / 1000;
    this.#watchdog = periodMs > 0 && (pid === undefined || pid === String(process.pid));
    this.#everyMs = this.#watchdog ? periodMs / PER_PERIOD : STATUS_EVERY_MS;
  }

  ready(status: () => Promise<GatewayStatus>, log: Logger): void {
    this.#log = log;
    this.#send("READY=1\nSTATUS=The gateway is running");
    this.#feeding = this.#feed(status);
  }

  stopping(again: boolean): void {
    this.#stop.abort();
    // A process that starts itself again is the same service: it says READY again.
    this.#send(again ? "RELOADING=1\nSTATUS=The gateway starts again" : "STOPPING=1");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#feeding;
  }

  async #feed(status: () => Promise<GatewayStatus>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      // Without an answer nothing is told: what a hang costs is the watchdog's business.
      const found = await status().catch(() => undefined);
      if (found !== undefined && !signal.aborted) {
        const alive = this.#watchdog && found.delivery === "answering";
        this.#send(`${alive ? "WATCHDOG=1\n" : ""}STATUS=${statusLine(found)}`);
      }
      await this.#options.clock.sleep(this.#everyMs, signal).catch(() => undefined);
    }
  }

  #send(text: string): void {
    try {
      const { place, send = sendDatagram } = this.#options;
      send(place, text);
      this.#unreachable = false;
    } catch (error) {
      if (!this.#unreachable) {
        this.#unreachable = true;
        this.#log?.warn("Cannot tell the service manager how the gateway is", {
          error: errorText(error),
        });
      }
    }
  }
}

/** What `systemctl status` shows: one line. */
export function statusLine({ link, connectors, store, delivery }: GatewayStatus): string {
  const running = connectors.filter(({ state }) => state === "running").length;
  const parts = [
    `Platform ${link.state}`,
    `${running} of ${connectors.length} connectors running`,
    `${countText(store.values)} values wait`,
  ];
  return [
    ...(delivery === "answering" ? [] : ["The disk or the uplink does not answer"]),
    ...parts,
  ].join(", ");
}
