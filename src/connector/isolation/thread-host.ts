import { mkdirSync } from "node:fs";
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Clock } from "#sdk/clock";
import type { ConnectorHost, GatewayUplink, Metrics } from "#sdk/connector";
import { InvariantError, TransientError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { isLogged, type Logger, type LogLevel, rateLimited } from "#sdk/logger";
import { isJsonObject, type Values } from "#sdk/model";
import type { ExtensionCatalogue } from "../../extension/catalogue.ts";
import { ConverterWatch } from "../converter-watch.ts";
import { createConverters } from "../converters.ts";
import { threadCatalogue, threadLookups } from "./origin.ts";
import type { DeviceList, FromThread, HostRequest, StartRequest, ToThread } from "./port.ts";
import { acceptResult, ThreadUplink } from "./thread-uplink.ts";
import { fieldsText, packValues } from "./wire.ts";

/** How long the collection thread has to tell the devices. */
const DEVICES_MS = 5000;
/** Most names of counters that travel together; a name made from data must not fill the memory. */
const MAX_NAMES = 1000;

/** What the host of a thread needs of its surroundings. */
export interface ThreadHostOptions {
  readonly start: StartRequest;
  readonly clock: Clock;
  readonly post: (message: FromThread) => void;
  /** Sends what has been posted, before something that may not come back. */
  readonly flush: () => void;
  readonly ask: (request: HostRequest, signal?: AbortSignal) => Promise<string | undefined>;
  /** Notes which converter is at work. */
  readonly at: (converter: string) => void;
}

/** What the collection thread tells a host while its connector runs. */
type News = Extract<ToThread, { readonly type: "credit" | "platform" | "level" }>;

/** The host of a connector in a thread of its own: the same members, and behind each the host in the collection thread. */
export class ThreadHost {
  readonly host: ConnectorHost;
  /** The extensions as this thread sees them. */
  readonly catalogue: ExtensionCatalogue;
  readonly #options: ThreadHostOptions;
  readonly #uplink: ThreadUplink;
  readonly #counts: Counts;
  readonly #listeners = new Set<(connected: boolean) => void>();
  #isConnected: boolean;
  #level: LogLevel;
  #isRevoked = false;

  constructor(options: ThreadHostOptions) {
    const { start, post, ask } = options;
    this.#options = options;
    this.#isConnected = start.isConnected;
    this.#level = start.level;
    this.#counts = new Counts(post);
    this.#uplink = new ThreadUplink({
      post,
      ask,
      rejected: (reason, values) => this.#counts.rejected(reason, values),
    });
    this.catalogue = threadCatalogue(start, this.#logger("log"));
    this.host = this.#build();
  }

  /** Takes what the collection thread says. */
  take(news: News): void {
    switch (news.type) {
      case "credit":
        this.#uplink.credit(news);
        break;
      case "level":
        this.#level = news.level;
        break;
      case "platform":
        this.#isConnected = news.isConnected;
        for (const listener of this.#listeners) {
          listener(news.isConnected);
        }
        break;
    }
  }

  /** The instance is disposed: every use of the host is an error from here on. */
  revoke(): void {
    this.#isRevoked = true;
    this.#listeners.clear();
  }

  #build(): ConnectorHost {
    const { start, clock, ask, post } = this.#options;
    const { id, name, connectorType: type, dataDir } = start;
    const guard = (): void => this.#guard();
    const log = this.#logger("log");
    const converterLog = this.#logger("converterLog");
    const metrics: Metrics = {
      count: (counter, by) => this.#counts.count(counter, by),
      rejected: (reason, count) => this.#counts.rejected(reason, count),
    };
    return {
      id,
      name,
      type,
      get dataDir(): string {
        guard();
        mkdirSync(dataDir, { recursive: true, mode: 0o700 });
        return dataDir;
      },
      log,
      converterLog,
      clock,
      metrics,
      uplink: {
        accept: async (data, signal, options) => {
          guard();
          return await this.#uplink.accept(data, signal, options);
        },
        tryAccept: (data) => {
          guard();
          return this.#uplink.tryAccept(data);
        },
      },
      devices: this.#devices(),
      attributes: {
        request: async (deviceName, keys, signal) => {
          guard();
          return await requestAttributes(ask, { deviceName, ...keys }, signal);
        },
      },
      gateway: this.#gateway(),
      platform: this.#platform(),
      converters: this.#converters({ log: converterLog, metrics }),
      setStatus: (status, detail) => {
        guard();
        post({ type: "status", status, ...(detail === undefined ? {} : { detail }) });
      },
    };
  }

  #platform(): ConnectorHost["platform"] {
    const isConnected = (): boolean => this.#isConnected;
    return {
      get connected(): boolean {
        return isConnected();
      },
      onChange: (listener) => {
        this.#guard();
        this.#listeners.add(listener);
        return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
      },
    };
  }

  #converters({
    log,
    metrics,
  }: Pick<ConnectorHost, "log" | "metrics">): ConnectorHost["converters"] {
    const { start, clock, at, post } = this.#options;
    const { id, name, connectorType: type } = start;
    const rareLog = rateLimited(log, clock);
    return createConverters({
      connector: { id, name, type },
      log,
      rareLog,
      metrics,
      extensions: threadLookups(this.catalogue, type, (lookup, end) =>
        post({ type: "looked-up", lookup, end }),
      ),
      watch: new ConverterWatch({ clock, rareLog, metrics, at: (converter = "") => at(converter) }),
    });
  }

  #guard(): void {
    if (this.#isRevoked) {
      const { name } = this.#options.start;
      throw new InvariantError(`Connector "${name}" used its host after it was disposed`);
    }
  }

  #devices(): ConnectorHost["devices"] {
    const { ask, post, start } = this.#options;
    return {
      connect: async (deviceName, deviceType) => {
        this.#guard();
        await ask({
          ask: "connect",
          deviceName,
          ...(deviceType === undefined ? {} : { deviceType }),
        });
      },
      disconnect: async (deviceName) => {
        this.#guard();
        await ask({ ask: "disconnect", deviceName });
      },
      failed: (deviceName, error) => {
        this.#guard();
        post({ type: "device-failed", deviceName, error });
      },
      list: () => {
        this.#guard();
        // What was posted before may change the list.
        this.#options.flush();
        return new Map(listDevices(start.devices));
      },
      claim: async (deviceName, { secretKey, durationMs }) => {
        this.#guard();
        await ask({ ask: "claim", deviceName, secretKey, durationMs });
      },
    };
  }

  #gateway(): GatewayUplink {
    const { ask } = this.#options;
    return {
      attributes: async (values, signal) => {
        this.#guard();
        return acceptResult(
          await ask({ ask: "own-attributes", values: packValues(values) }, signal),
        );
      },
      telemetry: async (values, signal, options) => {
        this.#guard();
        const ts = options?.ts;
        const request = { ask: "own-telemetry", values: packValues(values) } as const;
        return acceptResult(await ask(ts === undefined ? request : { ...request, ts }, signal));
      },
    };
  }

  #logger(channel: "log" | "converterLog"): Logger {
    const write =
      (level: Exclude<LogLevel, "none">): Logger["info"] =>
      (message, fields = {}) => {
        if (isLogged(level, this.#level)) {
          const { post, flush } = this.#options;
          post({ type: "log", channel, level, message, fields: fieldsText(fields) });
          flush(); // It may be the last that is heard of this thread.
        }
      };
    return {
      trace: write("trace"),
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
    };
  }
}

/** Counts of one turn of the event loop travel together. */
class Counts {
  readonly #post: (message: FromThread) => void;
  #counted = new Map<string, number>();
  #rejected = new Map<string, number>();

  constructor(post: (message: FromThread) => void) {
    this.#post = post;
  }

  count(name: string, by = 1): void {
    this.#add(this.#counted, name, by);
  }

  rejected(reason: string, count = 1): void {
    this.#add(this.#rejected, reason, count);
  }

  #add(counts: Map<string, number>, name: string, by: number): void {
    const size = this.#counted.size + this.#rejected.size;
    const key = size < MAX_NAMES || counts.has(name) ? name : "other";
    counts.set(key, (counts.get(key) ?? 0) + by);
    if (size === 0) {
      queueMicrotask(() => this.#flush());
    }
  }

  #flush(): void {
    const counted = [...this.#counted];
    const rejected = [...this.#rejected];
    this.#counted = new Map();
    this.#rejected = new Map();
    this.#post({ type: "counts", counted, rejected });
  }
}

async function requestAttributes(
  ask: ThreadHostOptions["ask"],
  wanted: Omit<Extract<HostRequest, { readonly ask: "attributes" }>, "ask">,
  signal: AbortSignal,
): Promise<{ readonly shared: Values; readonly client: Values }> {
  const { deviceName, shared, client } = wanted;
  const answer = await ask(
    {
      ask: "attributes",
      deviceName,
      ...(shared === undefined ? {} : { shared: [...shared] }),
      ...(client === undefined ? {} : { client: [...client] }),
    },
    signal,
  );
  const values = readJson(answer ?? "{}");
  const part = (key: string): Values => {
    const found = isJsonObject(values) ? values[key] : undefined;
    return isJsonObject(found) ? found : {};
  };
  return { shared: part("shared"), client: part("client") };
}

/** Asks the collection thread and waits: the list is wanted at once. @throws TransientError when it does not answer */
function listDevices({ port, flag }: StartRequest["devices"]): DeviceList {
  const answered = new Int32Array(flag);
  // A question of before that came too late.
  while (receiveMessageOnPort(nodePort(port)) !== undefined) {
    Atomics.store(answered, 0, 0);
  }
  Atomics.store(answered, 0, 0);
  port.postMessage("list");
  if (Atomics.wait(answered, 0, 0, DEVICES_MS) === "timed-out") {
    throw new TransientError(`The gateway has not told the devices within ${DEVICES_MS} ms`);
  }
  const received: { readonly message: DeviceList } | undefined = receiveMessageOnPort(
    nodePort(port),
  );
  return received?.message ?? [];
}

/** The run time has one class for both. */
function nodePort(port: StartRequest["devices"]["port"]): MessagePort {
  const same: unknown = port;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return same as MessagePort;
}
