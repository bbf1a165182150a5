import type { Clock } from "#sdk/clock";
import type { ConnectorHost } from "#sdk/connector";
import { TransientError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { isJsonObject, type Json, type Values } from "#sdk/model";
import type { Announced } from "./announced.ts";
import type { Publisher } from "./claims.ts";
import type { Downlinks } from "./downlinks.ts";
import type { PlatformLink } from "./platform-link.ts";

/** Where the platform answers. */
const RESPONSE_TOPIC = "v1/gateway/attributes/response";
/** How long an answer may take, the wait for the device to be announced included. */
const TIMEOUT_MS = 20_000;
/** Ids from here on belong to requests whose answer nobody waits for. */
const LAST_ID = 999_999_999;

/** What requests need of their surroundings. */
export interface AttributeRequestDeps {
  readonly clock: Clock;
  readonly publisher: Publisher;
  readonly platform: PlatformLink;
  readonly downlinks: Downlinks;
  readonly announced: Announced;
  readonly devices: {
    platformName(deviceName: string): string;
    get(deviceName: string): { readonly connected: boolean } | undefined;
  };
}

/** An answer: what it gave with its name, and what it gave without. */
interface Answer {
  readonly values: Values;
  readonly value: Json | undefined;
}

/** Shared attributes of a device as the platform has them. */
export interface SharedAttributes {
  readonly values: Values;
  /** The names that were asked for: those without a value do not exist. */
  readonly asked: readonly string[];
}

/** Asks the platform for attributes of devices and matches the answers. */
export class AttributeRequests implements Disposable {
  readonly #deps: AttributeRequestDeps;
  readonly #pending = new Map<number, PromiseWithResolvers<Answer>>();
  readonly #stack = new DisposableStack();
  /** Never starts again while the process lives: an answer that comes late, over another connection, belongs to nobody. */
  #nextId = 1;

  constructor(deps: AttributeRequestDeps) {
    this.#deps = deps;
    this.#stack.use(deps.downlinks.on(RESPONSE_TOPIC, (payload) => this.#receive(payload)));
    this.#stack.use(
      deps.platform.onChange((connected) => {
        if (!connected) {
          this.#abandon("The link to the platform was lost before the answer");
        }
      }),
    );
  }

  /** Unknown keys are absent. @throws TransientError when the platform is away or silent for 20 s */
  async request(
    deviceName: string,
    keys: Parameters<ConnectorHost["attributes"]["request"]>[1],
    signal: AbortSignal,
  ): Promise<{ readonly shared: Values; readonly client: Values }> {
    const client = await this.#named(deviceName, { client: true, keys: keys.client ?? [] }, signal);
    const shared = await this.#named(
      deviceName,
      { client: false, keys: keys.shared ?? [] },
      signal,
    );
    return { shared, client };
  }

  /**
   * Shared attributes by name, or all that the platform can be brought to tell, `known` names among them. @throws TransientError
   * as `request`
   */
  async shared(
    deviceName: string,
    keys: readonly string[] | "*",
    options: { readonly known: readonly string[]; readonly signal: AbortSignal },
  ): Promise<SharedAttributes> {
    const { known, signal } = options;
    const asked = keys === "*" ? await this.#allNames(deviceName, known, signal) : keys;
    return { values: await this.#named(deviceName, { client: false, keys: asked }, signal), asked };
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
    this.#abandon("The gateway is stopping");
  }

  /**
   * Without names the platform answers with the attributes of both scopes, mixed, and of a scope with a single one it does not tell the
   * name. So the names are all that is used of that answer.
   */
  async #allNames(
    deviceName: string,
    known: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const { values } = await this.#ask(deviceName, { client: false, keys: [] }, signal);
    return [...new Set([...Object.keys(values), ...known])];
  }

  async #named(
    deviceName: string,
    scope: { readonly client: boolean; readonly keys: readonly string[] },
    signal: AbortSignal,
  ): Promise<Values> {
    const [key] = scope.keys;
    if (key === undefined) {
      return {};
    }
    const { values, value } = await this.#ask(deviceName, scope, signal);
    // One key asked for and found comes as `value`, several as `values`; nothing found has neither.
    return value === undefined ? values : { [key]: value };
  }

  async #ask(
    deviceName: string,
    scope: { readonly client: boolean; readonly keys: readonly string[] },
    signal: AbortSignal,
  ): Promise<Answer> {
    const { clock } = this.#deps;
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    using _timer = clock.timer(TIMEOUT_MS, () =>
      stop.abort(new TransientError(`No answer to an attribute request for "${deviceName}"`)),
    );
    try {
      signal.throwIfAborted();
      await this.#untilKnown(deviceName, stop.signal);
      return await this.#exchange(deviceName, scope, stop.signal);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** A device of ours has to be announced first, lest the question creates it; about any other one the question is all there is. */
  async #untilKnown(deviceName: string, signal: AbortSignal): Promise<void> {
    const { announced, devices, platform } = this.#deps;
    if (platform.connected && devices.get(deviceName)?.connected === true) {
      await announced.until(deviceName, signal);
    }
  }

  async #exchange(
    deviceName: string,
    { client, keys }: { readonly client: boolean; readonly keys: readonly string[] },
    signal: AbortSignal,
  ): Promise<Answer> {
    const { devices, publisher } = this.#deps;
    const id = this.#nextId;
    this.#nextId = id >= LAST_ID ? 1 : id + 1;
    const answer = Promise.withResolvers<Answer>();
    answer.promise.catch(() => undefined); // Whoever waits gets it below.
    this.#pending.set(id, answer);
    const onAbort = (): void => answer.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const request = { id, device: devices.platformName(deviceName), client, keys };
      await Promise.race([
        publisher.publish("v1/gateway/attributes/request", JSON.stringify(request), TIMEOUT_MS),
        answer.promise,
      ]);
      return await answer.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#pending.delete(id);
    }
  }

  #receive(payload: string): void {
    const body = readJson(payload);
    if (!isJsonObject(body)) {
      return;
    }
    const { value, values } = body;
    this.#pending
      .get(Number(body["id"]))
      ?.resolve({ value, values: isJsonObject(values) ? values : {} });
  }

  #abandon(reason: string): void {
    for (const answer of this.#pending.values()) {
      answer.reject(new TransientError(reason));
    }
  }
}
