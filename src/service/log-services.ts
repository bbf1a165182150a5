import type { Clock } from "#sdk/clock";
import type { LogLevel } from "#sdk/logger";
import type { Json, Values } from "#sdk/model";
import { ErrorCounters } from "../logging/error-counters.ts";
import { parseLevel } from "../logging/levels.ts";
import { type RemoteLogCounts, RemoteLogs } from "../logging/remote.ts";
import type { LogSettings } from "../logging/settings.ts";
import type { OwnAttributes } from "./own-attributes.ts";
import type { PlatformLink } from "./platform-link.ts";

/** The shared attribute of the gateway device that says which lines of the gateway go to the platform. */
const REMOTE_LEVEL = "RemoteLoggingLevel";

/** What logging needs of a running gateway. */
export interface LogServicesDeps {
  readonly clock: Clock;
  readonly logs: LogSettings;
  readonly platform: PlatformLink;
  readonly own: Pick<OwnAttributes, "onShared" | "publish">;
  readonly delivery: {
    readonly payloadLimit: number;
    logLevel: LogLevel;
    publishInBackground(topic: string, payload: string): Promise<void>;
  };
}

/** Log lines that did not get where they should, and those that did. */
export interface LogStatus {
  /** Lines for files or standard output that were dropped. */
  readonly dropped: number;
  readonly remote: RemoteLogCounts;
}

/** What of the log goes to the platform: lines, error counts, and the level that the platform chooses. */
export class LogServices implements Disposable {
  readonly #deps: LogServicesDeps;
  readonly #remote: RemoteLogs;
  readonly #owned = new DisposableStack();

  constructor(deps: LogServicesDeps) {
    this.#deps = deps;
    const { clock, logs, platform, own, delivery } = deps;
    const publisher = {
      publish: (topic: string, payload: string) => delivery.publishInBackground(topic, payload),
    };
    this.#remote = this.#owned.use(
      new RemoteLogs({
        clock,
        publisher,
        platform,
        payloadLimit: () => delivery.payloadLimit,
        isShipped: (record) => logs.levels.isShipped(record),
        onDropped: (lines) =>
          logs.local("warn", "Log lines for the platform were left out", { lines }),
      }),
    );
    const errors = this.#owned.use(new ErrorCounters({ clock, publisher, platform }));
    this.#owned.use(
      logs.attach((record) => {
        this.#remote.offer(record);
        errors.offer(record);
      }),
    );
    this.#owned.use(
      logs.levels.onChange(() => {
        delivery.logLevel = logs.levels.delivery;
      }),
    );
    this.#owned.use(
      own.onShared((values, removed) => this.#shared(values, removed), [REMOTE_LEVEL]),
    );
    if (logs.problem !== undefined) {
      this.#remote.notice(`Logging loading exception, logs.json is wrong: ${logs.problem}`);
    }
  }

  get status(): LogStatus {
    return { dropped: this.#deps.logs.dropped, remote: this.#remote.counts };
  }

  [Symbol.dispose](): void {
    this.#deps.logs.levels.remote = "none";
    this.#owned[Symbol.dispose]();
  }

  #shared(values: Values, removed: readonly string[]): void {
    const value: Json | undefined = removed.includes(REMOTE_LEVEL) ? "NONE" : values[REMOTE_LEVEL];
    if (value === undefined) {
      return;
    }
    const level = parseLevel(value);
    if (level === undefined) {
      this.#deps.logs.local("warn", "The platform asks for a log level that does not exist", {
        [REMOTE_LEVEL]: value,
        need: "NONE, CRITICAL, ERROR, WARNING, INFO, DEBUG or TRACE",
      });
      return;
    }
    this.#deps.logs.levels.remote = level;
    // It waits for the platform where it has to; there is nothing else to do about a failure.
    this.#deps.own.publish({ [REMOTE_LEVEL]: value }).catch(() => undefined);
  }
}
