import { basename, dirname, join, resolve } from "node:path";
import type { Clock } from "#sdk/clock";
import {
  createLogger,
  isLogged,
  type LogFields,
  type Logger,
  type LogLevel,
  type LogRecord,
  type LogSink,
} from "#sdk/logger";
import type { Json } from "#sdk/model";
import { type HandlerPlan, type LogsPlan, planLogsStrictly } from "../config/logs.ts";
import { ConsoleWriter, type TextStream } from "./console.ts";
import { connectorFileName } from "./file-names.ts";
import { channelOf, isConnectorChannel } from "./levels.ts";
import { DEFAULT_TOTAL_BYTES, LogBudget } from "./log-budget.ts";
import { LogFile } from "./log-file.ts";
import { LoggerLevels } from "./logger-levels.ts";
import { Secrets } from "./redact.ts";
import { formatLogLine } from "./stdout.ts";

/** What the lines of a gateway are written with. */
export interface LogSettingsOptions {
  readonly clock: Clock;
  readonly stdout: TextStream;
  /** Default: `stdout`. */
  readonly stderr?: TextStream;
  /** Takes the lines in the place of standard output where no file plans the loggers. */
  readonly plain?: LogSink;
  /** Goes before the levels of `logs.json`. */
  readonly level?: LogLevel | undefined;
  /** What `logs.json` comes to; `undefined`: everything goes to standard output. */
  readonly plan?: LogsPlan | undefined;
  /** In words: why there is no plan. The platform is told. */
  readonly problem?: string | undefined;
  /** What relative file names are relative to. */
  readonly dataDir?: string;
  /** A folder for all files, whatever their names say of one. */
  readonly logsDir?: string | undefined;
  /** What all files together may take, in bytes. */
  readonly maxTotalBytes?: number;
  readonly secrets?: readonly string[];
}

/** The handlers in whose place each connector has a file of its own. */
const CONNECTOR_HANDLERS: Readonly<Record<string, "connector" | "converter">> = {
  connectorHandler: "connector",
  converterHandler: "converter",
};

/** One place where a line goes. */
interface Output {
  readonly level: LogLevel;
  /** Whether a person sees it there without opening a file. */
  readonly isConsole: boolean;
  write(record: LogRecord, shown: boolean): void;
}

/**
 * Where every line of the gateway goes: through the redaction of secrets, to the handlers of its logger, and to who is
 * attached. Files and levels can be replaced while lines come. Nothing here waits or throws.
 */
export class LogSettings implements AsyncDisposable {
  readonly levels: LoggerLevels;
  readonly secrets: Secrets;
  readonly #options: LogSettingsOptions;
  readonly #budget: LogBudget;
  readonly #stdout: ConsoleWriter;
  readonly #stderr: ConsoleWriter;
  readonly #listeners = new Set<LogSink>();
  #plan: LogsPlan | undefined;
  #routes = new Map<string, readonly Output[]>();
  #files = new Map<string, LogFile>();
  #droppedBefore = 0;

  constructor(options: LogSettingsOptions) {
    this.#options = options;
    this.#plan = options.plan;
    this.levels = new LoggerLevels(options.level, options.plan);
    this.secrets = new Secrets(options.secrets);
    this.#budget = new LogBudget(options.maxTotalBytes ?? DEFAULT_TOTAL_BYTES);
    this.#stdout = new ConsoleWriter(options.stdout);
    this.#stderr = options.stderr === undefined ? this.#stdout : new ConsoleWriter(options.stderr);
  }

  /** Settings for a gateway that has no files: every line goes to `sink`. */
  static plain(sink: LogSink, level: LogLevel, clock: Clock): LogSettings {
    return new LogSettings({ clock, level, plain: sink, stdout: { write: () => true } });
  }

  /** Why `logs.json` was of no use; `undefined` when it was, or when nobody asked for it. */
  get problem(): string | undefined {
    return this.#options.problem;
  }

  /** A logger of one part of the gateway, whose level may change while it is in use. */
  logger(source: string): Logger {
    const { clock } = this.#options;
    const level = (): LogLevel => this.levels.source(source);
    return createLogger({ source, level, clock, sink: this.sink });
  }

  /** A logger of a connector. */
  connectorLogger(
    { name, type }: { readonly name: string; readonly type: string },
    channel: "connector" | "converter",
  ): Logger {
    const { clock } = this.#options;
    const level = (): LogLevel => this.levels.connector(name, channel);
    const origin = { source: name, channel, connectorType: type };
    return createLogger({ ...origin, level, clock, sink: this.sink });
  }

  /** Takes each line. */
  readonly sink: LogSink = (record) => {
    if (this.levels.exists(record)) {
      const clean = this.secrets.redact(record);
      this.#write(clean);
      for (const listener of this.#listeners) {
        listener(clean);
      }
    }
  };

  /** Hands every line that exists, without secrets, to `listener` too. */
  attach(listener: LogSink): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** A line of the service that nobody who is attached gets: about logging itself. */
  local(level: LogRecord["level"], message: string, fields: LogFields): void {
    const record = this.#ownRecord(level, message, fields);
    if (this.levels.exists(record)) {
      this.#write(this.secrets.redact(record));
    }
  }

  /** Lines that reached neither a file nor standard output. */
  get dropped(): number {
    let count = this.#droppedBefore + this.#stdout.dropped;
    count += this.#stderr === this.#stdout ? 0 : this.#stderr.dropped;
    for (const file of this.#files.values()) {
      count += file.dropped;
    }
    return count;
  }

  /** Puts another `logs.json` into effect; resolves when the files of the old one are closed. @throws ConfigError, and nothing has changed */
  async apply(json: Json): Promise<void> {
    const plan = planLogsStrictly(json, "logs.json");
    const old = this.#files;
    this.#plan = plan;
    this.#files = new Map();
    this.#routes = new Map();
    this.levels.plan = plan;
    await this.#closeAll(old);
  }

  /** Forgets the levels of a connector that is gone. Its files stay open for one of the same name. */
  removeConnector(name: string): void {
    this.levels.removeConnector(name);
    this.#routes.delete(routeKey("connector", name));
    this.#routes.delete(routeKey("converter", name));
  }

  /** Writes what waits. */
  async flush(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.flush()));
  }

  /** Writes what waits and closes the files; lines that come later go to standard output. */
  async [Symbol.asyncDispose](): Promise<void> {
    const old = this.#files;
    this.#plan = undefined;
    this.#files = new Map();
    this.#routes = new Map();
    await this.#closeAll(old);
  }

  async #closeAll(files: ReadonlyMap<string, LogFile>): Promise<void> {
    await Promise.all([...files.values()].map((file) => file[Symbol.asyncDispose]()));
    for (const file of files.values()) {
      this.#droppedBefore += file.dropped;
    }
  }

  #write(record: LogRecord): void {
    const outputs = this.#route(record).filter(({ level }) => isLogged(record.level, level));
    const shown = outputs.some(({ isConsole }) => isConsole);
    for (const output of outputs) {
      output.write(record, shown);
    }
  }

  /** The outputs of a line's logger, made with its first line. */
  #route(record: LogRecord): readonly Output[] {
    const channel = channelOf(record);
    const key = routeKey(channel, isConnectorChannel(channel) ? record.source : "");
    const known = this.#routes.get(key);
    if (known !== undefined) {
      return known;
    }
    const made = this.#plan?.[channel].handlers.map((handler) =>
      this.#output(handler, isConnectorChannel(channel) ? record.source : undefined),
    );
    const outputs = made ?? [this.#plainOutput(isConnectorChannel(channel))];
    this.#routes.set(key, outputs);
    return outputs;
  }

  /** Today's line on standard output. A connector's own level has been seen to already. */
  #plainOutput(isConnector: boolean): Output {
    return {
      level: isConnector ? "trace" : this.levels.plain,
      isConsole: true,
      write: this.#options.plain ?? ((record) => this.#stdout.write(`${formatLogLine(record)}\n`)),
    };
  }

  #output(handler: HandlerPlan, connector: string | undefined): Output {
    const { level, format } = handler;
    if (handler.kind !== "file") {
      const writer = handler.kind === "stderr" ? this.#stderr : this.#stdout;
      return { level, isConsole: true, write: (record) => writer.write(`${format(record)}\n`) };
    }
    const file = this.#file(this.#pathOf(handler, connector), handler.rotation);
    return {
      level,
      isConsole: false,
      write: (record, shown) =>
        file.write(format(record), { urgent: record.level === "error", shown }),
    };
  }

  #pathOf(handler: HandlerPlan & { readonly kind: "file" }, connector: string | undefined): string {
    const { dataDir = ".", logsDir } = this.#options;
    const { name, filename } = handler;
    const path =
      logsDir === undefined
        ? resolve(dataDir, filename)
        : resolve(dataDir, logsDir, basename(filename));
    const kind = Object.hasOwn(CONNECTOR_HANDLERS, name) ? CONNECTOR_HANDLERS[name] : undefined;
    return connector === undefined || kind === undefined
      ? path
      : join(dirname(path), connectorFileName(connector, kind));
  }

  #file(path: string, rotation: ConstructorParameters<typeof LogFile>[0]["rotation"]): LogFile {
    const known = this.#files.get(path);
    if (known !== undefined) {
      return known;
    }
    const file = new LogFile({
      path,
      rotation,
      clock: this.#options.clock,
      budget: this.#budget,
      elsewhere: (text) => this.#stdout.write(text),
      report: (level, message, fields) => this.#report(level, message, fields),
    });
    this.#files.set(path, file);
    return file;
  }

  /** About a file: on standard output whatever the plan says, since the file may be all there is. */
  #report(level: LogRecord["level"], message: string, fields: LogFields): void {
    const record = this.secrets.redact(this.#ownRecord(level, message, fields));
    this.#stdout.write(`${formatLogLine(record)}\n`);
    for (const listener of this.#listeners) {
      listener(record);
    }
  }

  #ownRecord(level: LogRecord["level"], message: string, fields: LogFields): LogRecord {
    return { ts: this.#options.clock.now(), level, source: "service", message, fields };
  }
}

function routeKey(channel: string, connector: string): string {
  return `${channel}\n${connector}`;
}
