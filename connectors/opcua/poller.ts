import type { DataValue } from "node-opcua-client";
import { abortable } from "#sdk/abortable";
import type { ConnectorHost } from "#sdk/connector";
import { TransientError } from "#sdk/errors";
import { Schedule } from "#sdk/schedule";
import type { ServerSession } from "./client.ts";
import type { Item } from "./device.ts";
import { isTalkFailure, isTooLarge, SessionLost } from "./failures.ts";
import type { Intake } from "./intake.ts";
import { sampleOf } from "./uplink.ts";

/** What a poller needs. */
export interface PollerOptions {
  readonly session: ServerSession;
  readonly host: ConnectorHost;
  readonly intake: Intake;
  readonly periodMs: number;
}

/** Reads nodes again and again: all of them without subscriptions, else those the server has no room for. */
export class Poller {
  readonly #options: PollerOptions;
  /** Items that are read each time, by key. */
  readonly items = new Map<string, Item>();
  #wake = Promise.withResolvers<void>();

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  /** Reads these as well, from now on. */
  add(items: readonly Item[]): void {
    for (const item of items) {
      this.items.set(item.key, item);
    }
    if (items.length > 0) {
      this.#wake.resolve();
    }
  }

  /** Runs until `signal` aborts. @throws SessionLost, NoAnswer, what the store threw */
  async run(signal: AbortSignal): Promise<void> {
    const { periodMs, host } = this.#options;
    await abortable(this.#wake.promise, signal);
    const schedule = new Schedule(periodMs, host);
    for (;;) {
      await schedule.next(signal);
      await this.readAll([...this.items.values()], signal);
    }
  }

  /** Reads these once and hands their values on, one record for each device. What the server refuses is left out and said. The answer: those that cannot be decoded. */
  async readAll(items: readonly Item[], signal: AbortSignal): Promise<readonly Item[]> {
    const { session, intake } = this.#options;
    const values = await session.many("read", items, (part) => this.#read(part, signal));
    const result = intake.result();
    for (const [index, item] of items.entries()) {
      const value = values[index];
      if (value !== undefined) {
        result.add(item, sampleOf(value));
      }
    }
    if (!result.isEmpty) {
      await intake.put(result, signal);
    }
    return items.filter((_, index) => values[index]?.statusCode.name === "BadDecodingError");
  }

  /** One request: when it fails it costs only itself. */
  async #read(items: readonly Item[], signal: AbortSignal): Promise<(DataValue | undefined)[]> {
    const { session, host } = this.#options;
    const { AttributeIds } = session.library;
    const nodes = items.map(({ id }) => ({ nodeId: id, attributeId: AttributeIds.Value }));
    try {
      return await session.read(nodes, signal);
    } catch (error) {
      signal.throwIfAborted();
      const isItsOwn = isTalkFailure(error) || error instanceof TransientError;
      if (!isItsOwn || error instanceof SessionLost || isTooLarge(error)) {
        throw error;
      }
      host.metrics.count("readsFailed");
      host.log.warn("A read failed", { nodes: items.length, error });
      return items.map(() => undefined);
    }
  }
}
