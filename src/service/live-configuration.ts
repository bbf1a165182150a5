import { isDeepStrictEqual } from "node:util";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { LoadedConfiguration } from "../config/load.ts";
import { Revisions } from "../config/revisions.ts";
import type { ConnectorSet } from "../connector/reload.ts";
import type { DeliveryClient } from "../delivery/client.ts";
import type { LogSettings } from "../logging/settings.ts";
import type { SessionSettings } from "../thingsboard/settings.ts";
import { ConfigWatch } from "./config-watch.ts";
import { type ConfigurationSource, Configurator } from "./configurator.ts";
import { ConnectionFallback } from "./connection-fallback.ts";
import type { GatewaySetup } from "./gateway-setup.ts";
import type { OwnAttributes } from "./own-attributes.ts";
import type { PlatformLink } from "./platform-link.ts";
import { COMPATIBLE_VERSION } from "./remote-attributes.ts";
import { RemoteConfiguration } from "./remote-configuration.ts";
import { RemoteLogs } from "./remote-logs.ts";
import { RemoteState } from "./remote-state.ts";

/** How long a connection may take to prove itself by a CONNACK and a PUBACK. */
const TRIAL_MS = 30_000;
/** A gateway reachable by its own attributes is what remote configuration needs. */
const PROOF = {
  topic: "v1/devices/me/attributes",
  payload: JSON.stringify({ Version: COMPATIBLE_VERSION }),
};

/** The files behind a gateway that can be configured while it runs. */
export interface ConfigurationFiles extends ConfigurationSource {
  /** What the gateway was made from. */
  readonly loaded: LoadedConfiguration;
  /** Default: 30 s. */
  readonly trialMs?: number | undefined;
  /** Default: 5 min. */
  readonly fallbackAfterMs?: number | undefined;
}

/** What the live configuration works on. */
export interface LiveParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly logs: LogSettings;
  readonly own: OwnAttributes;
  readonly platform: PlatformLink;
  readonly delivery: Pick<DeliveryClient, "swapSession" | "changeStorage">;
  readonly connectors: ConnectorSet;
  /** Takes everything that needs no trial. Must not throw. */
  readonly takeSettings: (setup: GatewaySetup) => void;
}

/** The configuration of a running gateway: changed by the platform, by a person in the files, and back to what worked. */
export class LiveConfiguration implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #watch: ConfigWatch;
  readonly #remote: RemoteConfiguration;
  readonly #fallback: ConnectionFallback;
  readonly #configurator: Configurator;

  constructor(files: ConfigurationFiles, running: GatewaySetup, parts: LiveParts) {
    const { clock, log, own, platform, connectors, delivery } = parts;
    const { loaded, trialMs = TRIAL_MS } = files;
    const { dataDir, configDir } = loaded;
    const revisions = new Revisions(dataDir, configDir);
    const swapSession = async (from: SessionSettings, session: SessionSettings): Promise<void> => {
      const mode = isSameDevice(from, session) ? "replace" : "parallel";
      await this.#unlessStopped(
        delivery.swapSession({ session, mode, proof: PROOF, deadlineMs: trialMs }),
      );
    };
    const logs = new RemoteLogs(parts.logs);
    let logsFile = loaded.logs.raw;
    const configurator = new Configurator(loaded, running, {
      clock,
      log,
      revisions,
      source: files,
      stopping: this.#stop.signal,
      actuators: {
        swapSession,
        changeStorage: (storage) => this.#unlessStopped(delivery.changeStorage(storage)),
        replaceConnectors: async (setups) => {
          this.#stop.signal.throwIfAborted();
          const failures = await connectors.replace(setups, this.#stop.signal);
          this.#stop.signal.throwIfAborted();
          return failures;
        },
        takeSettings: (setup, changed) => {
          parts.takeSettings(setup);
          if (!isDeepStrictEqual(changed.logs.raw, logsFile)) {
            logsFile = changed.logs.raw;
            logs
              .reload(changed)
              .catch((error: unknown) =>
                log.error("The changed logs.json cannot be used", { error }),
              );
          }
        },
      },
      onChanged: (by) => this.#remote.changed(by),
      learnSecrets: (secrets) => parts.logs.secrets.add(secrets),
    });
    this.#configurator = configurator;
    const state = new RemoteState(dataDir, log);
    this.#remote = new RemoteConfiguration({ clock, log, configurator, own, state, logs });
    this.#watch = new ConfigWatch({ clock, log, configurator });
    this.#fallback = new ConnectionFallback({
      clock,
      log,
      dataDir,
      configurator,
      source: files,
      revisions,
      platform,
      afterMs: files.fallbackAfterMs,
      report: (reason) => this.#remote.report("general_configuration", reason),
    });
  }

  /** The configuration as the files have it. */
  get current(): LoadedConfiguration {
    return this.#configurator.current;
  }

  /** A stop does not wait for a trial: the delivery thread ends it. */
  async #unlessStopped(work: Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    const stopped = Promise.withResolvers<never>();
    const onAbort = (): void => stopped.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    work.catch(() => undefined); // After a stop nobody waits for it.
    try {
      signal.throwIfAborted();
      await Promise.race([work, stopped.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Ends every change; one that is under way is taken back or finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new TransientError("The gateway is stopping"));
    await Promise.all([
      this.#watch[Symbol.asyncDispose](),
      this.#remote[Symbol.asyncDispose](),
      this.#fallback[Symbol.asyncDispose](),
    ]);
  }
}

/** The server allows a device one session: another one at the same server would end the first. */
function isSameDevice(left: SessionSettings, right: SessionSettings): boolean {
  return (
    isDeepStrictEqual(left.credentials, right.credentials) &&
    left.hosts.some((host) => right.hosts.some((other) => isDeepStrictEqual(host, other)))
  );
}
