import type { Clock } from "#sdk/clock";
import { encodeJson } from "#sdk/encode";
import { DataError, errorText, RejectedError, TransientError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import type { Logger } from "#sdk/logger";
import { isJsonObject, type Json, type Values } from "#sdk/model";
import type { Publisher } from "./claims.ts";
import type { PlatformLink } from "./platform-link.ts";

/** Where the gateway device's own attributes are published, and where their changes arrive. */
const TOPIC = "v1/devices/me/attributes";
/** All topics that are about them. */
export const OWN_ATTRIBUTES = /^v1\/devices\/me\/attributes(\/response\/\d+)?$/;
const RESPONSE = /^v1\/devices\/me\/attributes\/response\/(\d+)$/;
/** How long an answer may take. */
const TIMEOUT_MS = 20_000;
/** Pause before a request is repeated that was not answered over a link that is up. */
const AGAIN_MS = 10_000;
/** Several attributes share a message up to this size; a larger one travels alone. */
const MESSAGE_BYTES = 32_768;
/** Most attributes that wait for the platform. */
const MAX_WAITING = 10_000;

/** Told of shared attributes of the gateway device: pushed, or asked for after a connect (`isFetched`). May not throw. */
export type SharedListener = (
  values: Values,
  removed: readonly string[],
  isFetched?: boolean,
) => void;

/** What the attributes need of their surroundings. */
export interface OwnAttributesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly publisher: Publisher;
  readonly platform: PlatformLink;
}

/** Names of attributes, all of them, or those of the moment. */
export type SharedKeys = readonly string[] | "all" | (() => readonly string[]);

interface Subscription {
  readonly listener: SharedListener;
  readonly keys: SharedKeys;
}

/** The attributes of the gateway's own device: shared ones come down, client ones go up. */
export class OwnAttributes implements Disposable {
  readonly #deps: OwnAttributesDeps;
  readonly #subscriptions = new Set<Subscription>();
  readonly #pending = new Map<number, PromiseWithResolvers<Values>>();
  /** Encoded, by name: what the platform has not acknowledged. */
  readonly #waiting = new Map<string, string>();
  readonly #life = new AbortController();
  readonly #link: Disposable;
  #nextId = 1;
  #wasConnected = false;
  #again: Disposable | undefined;
  #sending: Promise<boolean> | undefined;

  constructor(deps: OwnAttributesDeps) {
    this.#deps = deps;
    this.#link = deps.platform.onChange((connected) => this.#linkChanged(connected));
  }

  /**
   * Calls `listener` with every change of a shared attribute until the result is disposed. `keys` are asked for after each
   * connect; "all" asks for everything at the first one. What comes is not filtered by `keys`.
   */
  onShared(listener: SharedListener, keys: SharedKeys = []): Disposable {
    const subscription = { listener, keys };
    this.#subscriptions.add(subscription);
    const names = typeof keys === "function" ? keys() : keys;
    if (this.#deps.platform.connected && names.length > 0) {
      this.#fetch(names);
    }
    return { [Symbol.dispose]: () => this.#subscriptions.delete(subscription) };
  }

  /**
   * The shared attributes of these names, or all; unknown ones are absent.
   * @throws TransientError when the platform is away or silent for 20 s
   */
  async request(keys: readonly string[] | "all", signal: AbortSignal): Promise<Values> {
    if (keys.length === 0) {
      return {};
    }
    const { clock, publisher } = this.#deps;
    const id = this.#nextId;
    this.#nextId += 1;
    const answer = Promise.withResolvers<Values>();
    answer.promise.catch(() => undefined); // Whoever waits gets it below.
    this.#pending.set(id, answer);
    using _timer = clock.timer(TIMEOUT_MS, () =>
      answer.reject(new TransientError("No answer to a request for the gateway's attributes")),
    );
    const either = AbortSignal.any([signal, this.#life.signal]);
    const onAbort = (): void => answer.reject(either.reason);
    either.addEventListener("abort", onAbort, { once: true });
    try {
      either.throwIfAborted();
      await Promise.race([
        publisher.publish(`${TOPIC}/request/${id}`, requestOf(keys)),
        answer.promise,
      ]);
      return await answer.promise;
    } finally {
      either.removeEventListener("abort", onAbort);
      this.#pending.delete(id);
    }
  }

  /**
   * Publishes client attributes. They are not stored: while the platform is away the latest value of each waits for it.
   * Resolves when the platform has them, or when they wait. @throws DataError for a value that is no JSON
   */
  async publish(values: Values): Promise<void> {
    for (const [name, value] of Object.entries(values)) {
      if (value !== undefined && (this.#waiting.size < MAX_WAITING || this.#waiting.has(name))) {
        this.#waiting.delete(name); // The latest comes last.
        this.#waiting.set(name, encodeJson(value));
      }
    }
    await this.#flush();
  }

  /** Takes a message of the platform; other topics are left alone. */
  receive(topic: string, payload: string): void {
    const response = RESPONSE.exec(topic);
    if (topic !== TOPIC && response === null) {
      return;
    }
    const body = read(payload);
    if (body === undefined) {
      this.#deps.log.warn("A message about the gateway's attributes cannot be read", { topic });
      return;
    }
    if (response === null) {
      this.#pushed(body);
      return;
    }
    const { shared } = body;
    this.#pending.get(Number(response[1]))?.resolve(isJsonObject(shared) ? shared : {});
  }

  [Symbol.dispose](): void {
    this.#link[Symbol.dispose]();
    this.#again?.[Symbol.dispose]();
    this.#life.abort(new TransientError("The gateway is stopping"));
    this.#waiting.clear();
  }

  #linkChanged(connected: boolean): void {
    this.#again?.[Symbol.dispose]();
    this.#again = undefined;
    if (!connected) {
      for (const answer of this.#pending.values()) {
        answer.reject(new TransientError("The link to the platform was lost"));
      }
      return;
    }
    const keys = this.#wanted();
    this.#wasConnected = true;
    if (keys.length > 0) {
      this.#fetch(keys);
    }
    this.#flush().catch(() => undefined); // What was not sent waits for the next connection.
  }

  /** What has to be asked for after a connect. */
  #wanted(): readonly string[] | "all" {
    const names = new Set<string>();
    for (const { keys } of this.#subscriptions) {
      if (keys !== "all") {
        for (const key of typeof keys === "function" ? keys() : keys) {
          names.add(key);
        }
      } else if (!this.#wasConnected) {
        return "all";
      }
    }
    return [...names];
  }

  /** Asks, and tells everybody; asks again when the answer does not come though the link is up. */
  #fetch(keys: readonly string[] | "all"): void {
    this.request(keys, this.#life.signal).then(
      (values) => this.#tell(values, [], true),
      (error: unknown) => {
        if (this.#life.signal.aborted || !this.#deps.platform.connected) {
          return;
        }
        this.#deps.log.warn("The gateway's attributes are asked for again", {
          error: errorText(error),
        });
        this.#again?.[Symbol.dispose]();
        this.#again = this.#deps.clock.timer(AGAIN_MS, () => this.#fetch(keys));
      },
    );
  }

  #pushed(body: { readonly [key: string]: Json }): void {
    const { deleted } = body;
    if (Array.isArray(deleted) && Object.keys(body).length === 1) {
      this.#tell(
        {},
        deleted.filter((name) => typeof name === "string"),
        false,
      );
    } else {
      this.#tell(body, [], false);
    }
  }

  #tell(values: Values, removed: readonly string[], isFetched: boolean): void {
    if (Object.keys(values).length === 0 && removed.length === 0) {
      return;
    }
    for (const { listener } of this.#subscriptions) {
      try {
        listener(values, removed, isFetched);
      } catch (error) {
        this.#deps.log.error("The gateway's attributes could not be taken", { error });
      }
    }
  }

  /** Resolves when nothing waits any more, or when the rest has to wait for the next connection. */
  async #flush(): Promise<void> {
    while (this.#waiting.size > 0 && this.#deps.platform.connected && !this.#life.signal.aborted) {
      this.#sending ??= this.#sendAll().finally(() => {
        this.#sending = undefined;
      });
      if (!(await this.#sending)) {
        return;
      }
    }
  }

  /** Sends what waits; false when the platform went away before the end. */
  async #sendAll(): Promise<boolean> {
    let limit = MESSAGE_BYTES;
    for (let batch = this.#take(limit); batch.size > 0; batch = this.#take(limit)) {
      try {
        await this.#deps.publisher.publish(TOPIC, messageOf(batch));
        this.#done(batch);
        limit = MESSAGE_BYTES;
      } catch (error) {
        if (!(error instanceof RejectedError)) {
          return false; // They wait for the next connection.
        }
        if (batch.size > 1) {
          limit = 0; // One by one, so that a single bad one costs only itself.
          continue;
        }
        const [name] = batch.keys();
        this.#deps.log.error("The platform refuses an attribute of the gateway", { name, error });
        this.#done(batch);
      }
    }
    return true;
  }

  /** The next attributes that go together; always at least one while any wait. */
  #take(limit: number): ReadonlyMap<string, string> {
    const batch = new Map<string, string>();
    let size = 0;
    for (const [name, text] of this.#waiting) {
      size += Buffer.byteLength(name) + Buffer.byteLength(text);
      if (batch.size > 0 && size > limit) {
        break;
      }
      batch.set(name, text);
    }
    return batch;
  }

  /** Forgets what was sent, unless there is a later value already. */
  #done(batch: ReadonlyMap<string, string>): void {
    for (const [name, text] of batch) {
      if (this.#waiting.get(name) === text) {
        this.#waiting.delete(name);
      }
    }
  }
}

/** Names are separated by commas on the wire, so one that holds a comma can only be asked for together with all. */
function requestOf(keys: readonly string[] | "all"): string {
  const all = keys === "all" || keys.some((key) => key.includes(","));
  return all ? "{}" : JSON.stringify({ sharedKeys: keys.join(",") });
}

function messageOf(batch: ReadonlyMap<string, string>): string {
  return `{${[...batch].map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
}

function read(payload: string): { readonly [key: string]: Json } | undefined {
  try {
    const body = readJson(payload);
    return isJsonObject(body) ? body : undefined;
  } catch (error) {
    if (error instanceof DataError) {
      return undefined;
    }
    throw error;
  }
}
