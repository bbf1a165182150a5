import type { Clock } from "#sdk/clock";
import type { ConnectorHost } from "#sdk/connector";
import { readJson } from "#sdk/json-reader";
import type { Logger } from "#sdk/logger";
import { isJsonObject, type Json } from "#sdk/model";
import type { Announced } from "./announced.ts";
import { AttributeRequests } from "./attribute-requests.ts";
import { AttributeSync, type SyncedDevices } from "./attribute-sync.ts";
import { AttributeUpdates } from "./attribute-updates.ts";
import type { Publisher } from "./claims.ts";
import { ConnectorCalls } from "./connector-calls.ts";
import type { ConnectorDirectory } from "./connector-directory.ts";
import type { Downlinks } from "./downlinks.ts";
import { GivenAttributes } from "./given-attributes.ts";
import type { PlatformLink } from "./platform-link.ts";

const TOPIC = "v1/gateway/attributes";

/** What attributes need of their surroundings. */
export interface AttributesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly publisher: Publisher;
  readonly platform: PlatformLink;
  readonly downlinks: Downlinks;
  readonly announced: Announced;
  readonly devices: SyncedDevices & {
    localName(platformName: string): string;
    platformName(deviceName: string): string;
  };
  readonly directory: ConnectorDirectory;
  readonly count: (connectorId: string, name: string, by: number) => void;
  /** `thingsboard.syncDevicesSharedAttributesOnConnect` */
  readonly syncs: boolean;
}

/** Attributes of devices between the platform and connectors: changes on their way down, questions, and the sync after a connect. */
export class Attributes implements Disposable {
  readonly #deps: AttributesDeps;
  readonly #requests: AttributeRequests;
  readonly #updates: AttributeUpdates;
  readonly #sync: AttributeSync | undefined;
  readonly #stack = new DisposableStack();

  constructor(deps: AttributesDeps) {
    this.#deps = deps;
    const given = new GivenAttributes();
    // Places of their own: what takes attributes slowly must not keep calls waiting.
    const connectorCalls = new ConnectorCalls(deps);
    this.#requests = this.#stack.use(new AttributeRequests(deps));
    this.#updates = this.#stack.use(new AttributeUpdates({ ...deps, given, connectorCalls }));
    const parts = { requests: this.#requests, updates: this.#updates, given };
    this.#sync = deps.syncs ? this.#stack.use(new AttributeSync({ ...deps, ...parts })) : undefined;
    this.#stack.use(deps.downlinks.on(TOPIC, (payload) => this.#receive(payload)));
  }

  /** Asks the platform; see `ConnectorHost`. */
  get requests(): Pick<ConnectorHost["attributes"], "request"> {
    return this.#requests;
  }

  /** The device is no longer known: nothing waits for it or is remembered of it. */
  forget(deviceName: string): void {
    this.#deps.announced.forget(deviceName);
    this.#sync?.forget(deviceName);
    this.#updates.forget(deviceName);
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
  }

  #receive(payload: string): void {
    const body = readJson(payload);
    const data = isJsonObject(body) ? body["data"] : undefined;
    if (!isJsonObject(body) || typeof body["device"] !== "string" || !isJsonObject(data)) {
      this.#deps.log.warn("A change of attributes cannot be read", { topic: TOPIC });
      return;
    }
    const deviceName = this.#deps.devices.localName(body["device"]);
    const removed = deletionOf(data);
    const values = removed === undefined ? data : {};
    this.#sync?.pushed(deviceName, removed ?? Object.keys(data));
    this.#updates.receive(deviceName, values, removed ?? []);
  }
}

/** `{"deleted":["k"]}` takes attributes away; an attribute of that name with another value is one. */
function deletionOf(data: { readonly [key: string]: Json }): readonly string[] | undefined {
  const { deleted } = data;
  const isAlone = Object.keys(data).length === 1;
  const isList = Array.isArray(deleted) && deleted.every((key) => typeof key === "string");
  return isAlone && isList ? deleted.map(String) : undefined;
}
