import {
  isLogged,
  type LogChannel,
  type LogLevel,
  type LogRecord,
  mostTalkative,
} from "#sdk/logger";
import type { LogsPlan } from "../config/logs.ts";
import { type CoreChannel, channelOf, isConnectorChannel } from "./levels.ts";

/** How a connector logs; both may change while it runs. */
export interface ConnectorLogging {
  readonly logLevel: LogLevel;
  readonly enableRemoteLogging: boolean;
}

/** Of a connector that is not known. */
const QUIET: ConnectorLogging = { logLevel: "info", enableRemoteLogging: false };
/** Lines of the connection below this level are not for the platform: sending them would make more of them. */
const CONNECTION_FLOOR = "info";

/** From which level on lines exist, by logger, and from which on they are for the platform. */
export class LoggerLevels {
  readonly #fixed: LogLevel | undefined;
  readonly #connectors = new Map<string, ConnectorLogging>();
  readonly #listeners = new Set<() => void>();
  #plan: LogsPlan | undefined;
  #remote: LogLevel = "none";

  /** `fixed` goes before every level of a file. */
  constructor(fixed: LogLevel | undefined, plan: LogsPlan | undefined) {
    this.#fixed = fixed;
    this.#plan = plan;
  }

  /** Standard output's own level where no file plans the loggers. */
  get plain(): LogLevel {
    return this.#fixed ?? "info";
  }

  /** From which level on the platform gets lines of the gateway's own loggers. */
  get remote(): LogLevel {
    return this.#remote;
  }

  set remote(level: LogLevel) {
    this.#remote = level;
    this.#changed();
  }

  /** Replaces the levels of the file. */
  set plan(plan: LogsPlan | undefined) {
    this.#plan = plan;
    this.#changed();
  }

  /** Takes over what a connector's file or the platform says. */
  setConnector(name: string, logging: Partial<ConnectorLogging>): void {
    this.#connectors.set(name, { ...(this.#connectors.get(name) ?? QUIET), ...logging });
  }

  /** The connector is no longer there. */
  removeConnector(name: string): void {
    this.#connectors.delete(name);
  }

  /** Without a file that plans them, a logger is as talkative as one of its readers wants it. */
  core(channel: CoreChannel): LogLevel {
    const planned = this.#plan?.[channel].level;
    if (this.#fixed === undefined && planned !== undefined) {
      return planned;
    }
    return planned === undefined
      ? mostTalkative(this.plain, this.#shippedCore(channel))
      : this.plain;
  }

  /** The level of a part of the gateway by its name. */
  source(name: string): LogLevel {
    return this.#own(channelOf({ source: name }), name);
  }

  /** The converter's logger has its connector's level, unless the file switches all of them off. */
  connector(name: string, channel: "connector" | "converter"): LogLevel {
    const isOff = this.#fixed === undefined && this.#plan?.[channel].level === "none";
    return isOff ? "none" : (this.#connectors.get(name) ?? QUIET).logLevel;
  }

  /** Whether a line exists at all. */
  exists(record: LogRecord): boolean {
    const channel = channelOf(record);
    return isLogged(record.level, this.#own(channel, record.source));
  }

  /** Whether a line that exists is for the platform. */
  isShipped(record: LogRecord): boolean {
    const channel = channelOf(record);
    return isConnectorChannel(channel)
      ? this.#connectors.get(record.source)?.enableRemoteLogging === true
      : isLogged(record.level, this.#shippedCore(channel));
  }

  /** The level of the thread that has store and connection: all that one of the two wants. */
  get delivery(): LogLevel {
    return mostTalkative(this.core("storage"), this.core("tb_connection"));
  }

  /** Calls `listener` when the level of a logger of the gateway may be another one. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  #own(channel: LogChannel, source: string): LogLevel {
    return isConnectorChannel(channel) ? this.connector(source, channel) : this.core(channel);
  }

  #shippedCore(channel: CoreChannel): LogLevel {
    const isTalkative = channel === "tb_connection" && isLogged(CONNECTION_FLOOR, this.#remote);
    return isTalkative ? CONNECTION_FLOOR : this.#remote;
  }

  #changed(): void {
    for (const listener of this.#listeners) {
      listener();
    }
  }
}
