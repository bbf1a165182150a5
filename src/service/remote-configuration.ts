import { statSync } from "node:fs";
import type { Clock } from "#sdk/clock";
import { ConfigError, errorText, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { isJsonObject, type Json, type Values } from "#sdk/model";
import { canonical, type JsonRecord, without } from "../config/canonical.ts";
import type { Configurator } from "./configurator.ts";
import type { OwnAttributes } from "./own-attributes.ts";
import {
  ACTIVE,
  contentsOf,
  ERRORS,
  GENERAL,
  GRPC,
  isOurs,
  LOGS,
  namesOf,
  ORDER,
  reasonOf,
  STORAGE,
  versions,
} from "./remote-attributes.ts";
import {
  acknowledged,
  activeFiles,
  connectorFiles,
  isConnectorObject,
  matching,
} from "./remote-connectors.ts";
import type { RemoteLogs } from "./remote-logs.ts";
import { generalFiles, sectionFiles } from "./remote-sections.ts";
import type { RemoteState } from "./remote-state.ts";

/** Asked for after each connect. The first one belongs to the logging. */
const NAMED = ["RemoteLoggingLevel", GENERAL, STORAGE, GRPC, LOGS, ACTIVE];
/** Most attributes that wait to be handled; a later value of one takes the place of the earlier. */
const MAX_WAITING = 1000;

/** What remote configuration needs of its surroundings. */
export interface RemoteConfigurationDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly configurator: Configurator;
  readonly own: Pick<OwnAttributes, "onShared" | "publish" | "request">;
  readonly state: RemoteState;
  readonly logs: RemoteLogs;
}

interface Waiting {
  readonly value: Json;
  /** Asked for after a connect, so it may be old; else it was pushed at this moment. */
  readonly isFetched: boolean;
}

/**
 * The configuration as the platform sees and changes it. Each attribute is a transaction of its own: taken, saved and acknowledged, or
 * refused, with the reason as an attribute, and the present configuration goes on. Data flows meanwhile.
 */
export class RemoteConfiguration implements AsyncDisposable {
  readonly #deps: RemoteConfigurationDeps;
  readonly #waiting = new Map<string, Waiting>();
  readonly #errors = new Map<string, string>();
  /** What was published last, by attribute; without `ts`. */
  readonly #known = new Map<string, string>();
  /** The newest `ts` that was published of each attribute. */
  readonly #published = new Map<string, number>();
  readonly #stop = new AbortController();
  #subscriptions: readonly Disposable[] = [];
  #running: Promise<void> | undefined;

  constructor(deps: RemoteConfigurationDeps) {
    this.#deps = deps;
    deps.state.at(deps.configurator.session);
    this.#listen();
    this.#publishChanges({ quietly: false });
  }

  /** Switched on in the file, or because there are no connectors: nobody could ever add one otherwise. */
  get isOn(): boolean {
    const { gateway, connectors } = this.#deps.configurator.current;
    return gateway.thingsboard.remoteConfiguration || connectors.length === 0;
  }

  /**
   * The configuration has changed: tells the platform what it does not know yet. What it has pushed itself is acknowledged by itself,
   * unless it is another platform from here on.
   */
  changed(source: "local" | "remote"): void {
    const { configurator, state } = this.#deps;
    const isElsewhere = state.at(configurator.session);
    if (isElsewhere) {
      this.#known.clear();
    }
    this.#listen();
    this.#publishChanges({ quietly: source === "remote" && !isElsewhere });
  }

  /** Publishes what differs from what was published last; `quietly` only remembers it. */
  #publishChanges({ quietly }: { readonly quietly: boolean }): void {
    const ts = this.#deps.clock.now();
    const values: Record<string, Json> = {};
    for (const [name, content] of this.#contents()) {
      const text = canonical(content);
      if (this.#known.get(name) !== text) {
        this.#known.set(name, text);
        values[name] = isJsonObject(content) && name !== ERRORS ? { ...content, ts } : content;
      }
    }
    if (!quietly) {
      this.#publish(values);
    }
  }

  /** What the platform should know, without `ts`. */
  #contents(): ReadonlyMap<string, Json> {
    const { configurator, logs } = this.#deps;
    const contents = new Map(versions());
    if (this.isOn) {
      for (const [name, content] of contentsOf(configurator.current, logs)) {
        contents.set(name, content);
      }
      contents.set(ERRORS, Object.fromEntries(this.#errors));
    }
    return contents;
  }

  /** Tells the platform that something of the configuration could not be used. */
  report(name: string, error: string | undefined): void {
    if (error === undefined) {
      this.#errors.delete(name);
    } else {
      this.#errors.set(name, error);
    }
    this.#publish({ [ERRORS]: Object.fromEntries(this.#errors) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unlisten();
    this.#stop.abort(new TransientError("The gateway is stopping"));
    this.#waiting.clear();
    await this.#running;
  }

  /** Asks for everything at the first connect, and for what is known by name at each later one. */
  #listen(): void {
    if (!this.isOn) {
      this.#unlisten();
    } else if (this.#subscriptions.length === 0) {
      const { own } = this.#deps;
      this.#subscriptions = [
        own.onShared(
          (values, _removed, isFetched) => this.#arrived(values, isFetched === true),
          "all",
        ),
        // A push that was made while the link was away is found in this way.
        own.onShared(
          () => undefined,
          () => [...NAMED, ...this.#configured()],
        ),
      ];
    }
  }

  #configured(): readonly string[] {
    return this.#deps.configurator.current.connectors.map(({ name }) => name);
  }

  #unlisten(): void {
    for (const subscription of this.#subscriptions) {
      subscription[Symbol.dispose]();
    }
    this.#subscriptions = [];
  }

  #arrived(values: Values, isFetched: boolean): void {
    if (!this.isOn || this.#stop.signal.aborted) {
      return; // Nothing is applied and nothing waits.
    }
    for (const [name, value] of Object.entries(values)) {
      if (value !== undefined && isOurs(name, value)) {
        this.#wait(name, value, isFetched);
      }
    }
    this.#running ??= this.#handleAll().finally(() => {
      this.#running = undefined;
    });
  }

  #wait(name: string, value: Json, isFetched: boolean): void {
    const before = this.#waiting.get(name);
    if (this.#waiting.size >= MAX_WAITING && before === undefined) {
      this.#deps.log.warn("Too many attributes are pushed at a time: one is left out", { name });
      return;
    }
    this.#waiting.set(name, { value, isFetched: isFetched && before?.isFetched !== false });
  }

  async #handleAll(): Promise<void> {
    // What arrives in one message, or while something is handled, is put in order.
    for (let [next] = this.#inOrder(); next !== undefined; [next] = this.#inOrder()) {
      const [name, waiting] = next;
      this.#waiting.delete(name);
      if (this.isOn) {
        await this.#handle(name, waiting);
      }
    }
    this.#deps.state.save();
  }

  #inOrder(): readonly (readonly [string, Waiting])[] {
    const place = (name: string): number => {
      const index = ORDER.indexOf(name);
      return index === -1 ? ORDER.length + (name === ACTIVE ? 1 : 0) : index;
    };
    return [...this.#waiting].toSorted(([left], [right]) => place(left) - place(right));
  }

  /** One attribute; whatever is wrong with it stays with it. */
  async #handle(name: string, { value, isFetched }: Waiting): Promise<void> {
    const { log, state } = this.#deps;
    if (isFetched && !this.#isNews(name, value)) {
      state.seen(name, value);
      await this.#fetchMissing(name, value);
      return;
    }
    try {
      const isChanged = await this.#apply(name, value, isFetched);
      state.seen(name, value);
      if (isChanged) {
        log.info("Configuration of the platform is in force", { attribute: name });
      }
      this.#acknowledge(name, value, isChanged);
      if (this.#errors.has(name)) {
        this.report(name, undefined);
      }
    } catch (error) {
      if (this.#stop.signal.aborted) {
        return; // It is shown again at the next start.
      }
      state.seen(name, value);
      const reason = reasonOf(error);
      log.error("Configuration of the platform is refused, the one before goes on", {
        attribute: name,
        error: reason,
      });
      this.#publishPresent(name);
      this.report(name, reason);
    }
    state.save();
  }

  /** Whether what the platform shows after a connect says something that was not dealt with before. */
  #isNews(name: string, value: Json): boolean {
    const seen = this.#deps.state.check(name, value);
    if (seen !== "never") {
      return seen === "other";
    }
    if (name === ACTIVE) {
      return true;
    }
    const ts = isJsonObject(value) ? value["ts"] : undefined;
    const changedMs = this.#changedMs(name, value);
    return changedMs === undefined || (typeof ts === "number" && ts > changedMs);
  }

  /** When the file that an attribute is about was changed; `undefined` when there is none. */
  #changedMs(name: string, value: Json): number | undefined {
    const { current } = this.#deps.configurator;
    let file = name === LOGS ? this.#deps.logs.file(current) : current.mainFile;
    if (isConnectorObject(value) && !ORDER.includes(name)) {
      const present = matching(current, value);
      if (present === undefined) {
        return undefined;
      }
      ({ file } = present);
    }
    return statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  }

  /** Resolves with whether something has changed. @throws ConfigError, TransientError: everything is as before */
  async #apply(name: string, value: Json, isFetched: boolean): Promise<boolean> {
    const { configurator, logs } = this.#deps;
    const change = (build: Parameters<Configurator["change"]>[0]): Promise<boolean> =>
      configurator.change(build);
    if (name === ACTIVE) {
      return await this.#applyActive(value, isFetched);
    }
    if (!isJsonObject(value)) {
      throw new ConfigError(name, [{ path: "$", message: "must be an object" }]);
    }
    switch (name) {
      case GENERAL:
        return await change((current) => generalFiles(current, value));
      case STORAGE:
        return await change((current) => sectionFiles(current, "storage", value));
      case GRPC:
        return await change((current) => sectionFiles(current, "grpc", value));
      case LOGS:
        return await logs.apply(configurator, without(value, "ts"));
      default:
        return await this.#applyConnector(name, value, isFetched);
    }
  }

  async #applyConnector(name: string, value: JsonRecord, isFetched: boolean): Promise<boolean> {
    const { configurator } = this.#deps;
    if (!isConnectorObject(value)) {
      return false;
    }
    if (value.name !== name) {
      const message = `must be "${name}", the name of the attribute`;
      throw new ConfigError(name, [{ path: "name", message }]);
    }
    // Left over from a connector that was deleted: the list of the active ones names those that are meant.
    if (isFetched && matching(configurator.current, value) === undefined) {
      const active = await this.#deps.own.request([ACTIVE], this.#stop.signal);
      if (!namesOf(active[ACTIVE])?.includes(name)) {
        return false;
      }
    }
    return await configurator.change((current) => connectorFiles(current, value));
  }

  /** A known list may name connectors whose objects were set while the link was away. */
  async #fetchMissing(name: string, value: Json): Promise<void> {
    const configured = this.#configured();
    const missing = (name === ACTIVE ? namesOf(value) : undefined)?.filter(
      (listed) => !configured.includes(listed),
    );
    if (missing !== undefined && missing.length > 0) {
      const { own, log } = this.#deps;
      await own.request(missing, this.#stop.signal).then(
        (objects) => this.#arrived(objects, true),
        (error: unknown) => log.warn("Connectors cannot be asked for", { error }),
      );
    }
  }

  /** Those that are named are asked for; those that are not are ended, and their entries go. */
  async #applyActive(value: Json, isFetched: boolean): Promise<boolean> {
    const { configurator, own, state } = this.#deps;
    const names = namesOf(value);
    if (names === undefined) {
      throw new ConfigError(ACTIVE, [{ path: "$", message: "must be a list of names" }]);
    }
    const isFirst = isFetched && state.check(ACTIVE, value) === "never";
    const objects = await own.request(names, this.#stop.signal);
    for (const name of names) {
      const object = objects[name];
      if (isConnectorObject(object)) {
        const configured = matching(configurator.current, object);
        await this.#handle(name, { value: object, isFetched: configured !== undefined });
      }
    }
    // At the first contact the list may be older than what was set up here; then nothing is ended.
    return isFirst ? false : await configurator.change((current) => activeFiles(current, names));
  }

  /** As received, with its `ts`; a value that was known already only when the platform waits for its `ts`. */
  #acknowledge(name: string, value: Json, isChanged: boolean): void {
    const ts = isJsonObject(value) ? value["ts"] : undefined;
    const isNewer = typeof ts === "number" && ts > (this.#published.get(name) ?? 0);
    if (isChanged || isNewer || name === ACTIVE) {
      this.#publish({ [name]: isConnectorObject(value) ? acknowledged(value) : value });
    }
  }

  /** What is in force, with the time it was published before: the platform shows that the push is not in sync. */
  #publishPresent(name: string): void {
    const { configurator, logs } = this.#deps;
    const { current } = configurator;
    const ts = this.#published.get(name) ?? 0;
    const present = ORDER.includes(name) ? contentsOf(current, logs).get(name) : undefined;
    if (isJsonObject(present)) {
      this.#publish({ [name]: { ...present, ts } });
    }
  }

  #publish(values: Values): void {
    for (const [name, value] of Object.entries(values)) {
      const ts = isJsonObject(value) ? value["ts"] : undefined;
      if (typeof ts === "number") {
        this.#published.set(name, ts);
      }
    }
    this.#deps.own
      .publish(values)
      .catch((error: unknown) =>
        this.#deps.log.error("The configuration cannot be published", { error: errorText(error) }),
      );
  }
}
