import type { DeviceProfile } from "./model.ts";
import { filterEffect, matchesFilter } from "./topics.ts";

/** What became of one filter of a SUBSCRIBE. */
export interface Subscribed {
  readonly grantedQos: 0 | 1;
  /** Whether calls may be sent from here on. */
  readonly isRpcOpened: boolean;
}

/** The subscriptions of one connection. They end with it: the server keeps nothing for a client. */
export class Subscriptions {
  readonly #filters = new Map<string, 0 | 1>();
  #attributesTopic: string | undefined;
  #rpcPrefix: string | undefined;

  /** Topic for changed shared attributes, undefined when the device did not ask for them. */
  get attributesTopic(): string | undefined {
    return this.#attributesTopic;
  }

  /** Topic of calls without their id, undefined when the device did not ask for them. */
  get rpcPrefix(): string | undefined {
    return this.#rpcPrefix;
  }

  /** The accepted filters. */
  get filters(): readonly string[] {
    return [...this.#filters.keys()];
  }

  /**
   * Adds a filter; undefined when the server refuses it. `pay` is asked once for a filter that registers something:
   * when it refuses, the filter is granted all the same, only nothing ever arrives.
   */
  add(
    filter: string,
    options: {
      readonly qos: number;
      readonly profile: DeviceProfile;
      readonly pay: () => boolean;
    },
  ): Subscribed | undefined {
    const effect = filterEffect(filter, options.profile);
    if (effect === undefined) {
      return undefined;
    }
    const grantedQos = options.qos === 0 ? 0 : 1;
    this.#filters.set(filter, grantedQos);
    if (effect.kind === "attributes" && options.pay()) {
      this.#attributesTopic = effect.topic;
    }
    if (effect.kind === "rpc" && options.pay()) {
      this.#rpcPrefix = effect.prefix;
      return { grantedQos, isRpcOpened: true };
    }
    return { grantedQos, isRpcOpened: false };
  }

  /** Takes a filter away; false for one that no device can subscribe to. */
  remove(filter: string, profile: DeviceProfile): boolean {
    const effect = filterEffect(filter, profile);
    this.#filters.delete(filter);
    if (effect?.kind === "attributes") {
      this.#attributesTopic = undefined;
    } else if (effect?.kind === "rpc") {
      this.#rpcPrefix = undefined;
    }
    return effect !== undefined;
  }

  /** QoS of a message to the client: that of a matching filter, 1 without one. */
  qosOf(topic: string): 0 | 1 {
    for (const [filter, granted] of this.#filters) {
      if (matchesFilter(topic, filter)) {
        return granted;
      }
    }
    return 1;
  }

  /** Forgets everything. */
  clear(): void {
    this.#filters.clear();
    this.#attributesTopic = undefined;
    this.#rpcPrefix = undefined;
  }
}
