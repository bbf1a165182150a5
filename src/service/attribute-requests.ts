import type { Clock } from "../sdk/clock.ts";
import type { ConnectorHost } from "../sdk/connector.ts";
import { TransientError } from "../sdk/errors.ts";
import { readJson } from "../sdk/json-reader.ts";
import { isJsonObject, type Json, type Values } from "../sdk/model.ts";
import type { Publisher } from "./claims.ts";
import type { Downlinks } from "./downlinks.ts";

/** Where the platform answers. */
const RESPONSE_TOPIC = "v1/gateway/attributes/response";
/** How long an answer may take. */
const TIMEOUT_MS = 20_000;

/** A request on its way: which keys were asked for, and who waits. */
interface Pending {
  readonly keys: readonly string[];
  readonly answer: PromiseWithResolvers<Values>;
}

/** Asks the platform for attributes of devices and matches the answers. */
export class AttributeRequests {
  readonly #clock: Clock;
  readonly #publisher: Publisher;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(clock: Clock, publisher: Publisher, downlinks: Downlinks) {
    this.#clock = clock;
    this.#publisher = publisher;
    downlinks.on(RESPONSE_TOPIC, (payload) => this.#receive(payload));
  }

  /** Unknown keys are absent. @throws TransientError when the platform is away or silent for 20 s */
  async request(
    deviceName: string,
    keys: Parameters<ConnectorHost["attributes"]["request"]>[1],
    signal: AbortSignal,
  ): Promise<{ readonly shared: Values; readonly client: Values }> {
    const client = await this.#ask(deviceName, { client: true, keys: keys.client ?? [] }, signal);
    const shared = await this.#ask(deviceName, { client: false, keys: keys.shared ?? [] }, signal);
    return { shared, client };
  }

  #receive(payload: string): void {
    const body = readJson(payload);
    if (!isJsonObject(body)) {
      return;
    }
    const id = Number(body["id"]);
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.answer.resolve(valuesOf(body, pending.keys));
  }

  async #ask(
    device: string,
    scope: { readonly client: boolean; readonly keys: readonly string[] },
    signal: AbortSignal,
  ): Promise<Values> {
    // Without keys the platform would answer with all attributes of both scopes, mixed.
    if (scope.keys.length === 0) {
      return {};
    }
    const id = this.#nextId;
    this.#nextId += 1;
    const answer = Promise.withResolvers<Values>();
    this.#pending.set(id, { keys: scope.keys, answer });
    using _timer = this.#clock.timer(TIMEOUT_MS, () =>
      answer.reject(new TransientError(`No answer to an attribute request for "${device}"`)),
    );
    const onAbort = (): void => answer.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const request = { id, device, client: scope.client, keys: scope.keys };
      await Promise.race([
        this.#publisher.publish("v1/gateway/attributes/request", JSON.stringify(request)),
        answer.promise,
      ]);
      return await answer.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#pending.delete(id);
    }
  }
}

/** One key asked for and found comes as `value`, several as `values`; nothing found has neither. */
function valuesOf(body: { readonly [key: string]: Json }, keys: readonly string[]): Values {
  const { values, value } = body;
  if (isJsonObject(values)) {
    return values;
  }
  const [key] = keys;
  return value === undefined || key === undefined ? {} : { [key]: value };
}
