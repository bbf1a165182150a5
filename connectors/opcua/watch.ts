import type { ConnectorHost } from "#sdk/connector";
import { assert } from "#sdk/errors";
import type { Device, Item, Target } from "./device.ts";
import { statusText } from "./failures.ts";
import type { Intake } from "./intake.ts";
import type { Point } from "./mappings.ts";
import type { FoundNode } from "./node-finder.ts";
import type { Poller } from "./poller.ts";
import type { Said } from "./said.ts";
import type { Subscriptions, Watched } from "./subscriptions.ts";

/** What a watch is made from. */
export interface WatchOptions {
  readonly host: ConnectorHost;
  readonly intake: Intake;
  /** `undefined`: everything is polled. */
  readonly subscriptions: Subscriptions | undefined;
  /** Outlives the session. */
  readonly said: Said;
}

/** A point of a device and where it was found. */
export interface PlacedPoint {
  readonly point: Point;
  readonly key: string;
  /** `undefined`: there is no such node now. */
  readonly node: FoundNode | undefined;
}

/** The nodes of one server that somebody wants values of: each once, whoever wants it. It outlives a session, as the subscriptions may. */
export class Watch {
  readonly #options: WatchOptions;
  readonly #items = new Map<string, Item>();
  readonly #placed = new Map<
    Device,
    Map<Point, { readonly item: Item; readonly target: Target }>
  >();
  /** Items that nobody wants any more. */
  readonly #dropped = new Set<string>();
  /** Items with targets that have not got their first value. */
  readonly #fresh = new Set<Item>();
  #poller: Poller | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Goes on with the poller of another session. */
  attach(poller: Poller): void {
    this.#poller = poller;
  }

  /** Nodes that are watched or read. */
  get size(): number {
    return this.#items.size;
  }

  /** Nodes that have vanished are asked for anew with the next `commit`. */
  async renewGone(): Promise<void> {
    const gone = [...this.#items.values()].filter(({ isGone }) => isGone);
    await this.#options.subscriptions?.remove(gone.map(({ key }) => key));
  }

  /**
   * Changes have come that cannot be decoded, and with them others: reads all nodes that are watched. Those that cannot be decoded are read by themselves from
   * now on, so that they cost nobody else anything. @throws SessionLost, NoAnswer
   */
  async readAgain(signal: AbortSignal): Promise<void> {
    const { host, subscriptions } = this.#options;
    const poller = this.#poller;
    assert(poller !== undefined, "nodes are watched within a session");
    const watched = [...this.#items.values()].filter(({ key }) => subscriptions?.has(key));
    host.metrics.count("messagesUndecodable");
    const undecodable = await poller.readAll(watched, signal);
    host.log.warn("A message of the server cannot be decoded; its nodes were read instead", {
      read: watched.length,
      undecodable: undecodable
        .map(({ key }) => key)
        .slice(0, 10)
        .join(", "),
    });
    poller.add(undecodable);
    await subscriptions?.remove(undecodable.map(({ key }) => key));
  }

  /** Where the points of a device are now. What has not moved is left alone. */
  place(device: Device, points: readonly PlacedPoint[]): void {
    let placed = this.#placed.get(device);
    if (placed === undefined) {
      placed = new Map();
      this.#placed.set(device, placed);
    }
    for (const { point, key, node } of points) {
      const old = placed.get(point);
      if (old !== undefined && old.item.key === node?.key && old.target.key === key) {
        continue;
      }
      if (old !== undefined) {
        this.#unlink(old.item, old.target);
        placed.delete(point);
      }
      if (node !== undefined) {
        const { section, stamp } = point;
        const target: Target = { device, key, section, stamp, isBad: false };
        placed.set(point, { item: this.#link(node, target), target });
      }
    }
  }

  /** The device is not there any more. */
  remove(device: Device): void {
    for (const { item, target } of this.#placed.get(device)?.values() ?? []) {
      this.#unlink(item, target);
    }
    this.#placed.delete(device);
  }

  /** Tells the server about what has changed since the last time. @throws SessionLost, NoAnswer */
  async commit(signal: AbortSignal): Promise<void> {
    const { subscriptions } = this.#options;
    const poller = this.#poller;
    assert(poller !== undefined, "nodes are watched within a session");
    const dropped = [...this.#dropped];
    this.#dropped.clear();
    for (const key of dropped) {
      poller.items.delete(key);
    }
    await subscriptions?.remove(dropped);
    const fresh = [...this.#fresh];
    this.#fresh.clear();
    if (subscriptions === undefined) {
      poller.add([...this.#items.values()]);
      return;
    }
    const wanted = [...this.#items.values()].filter(
      ({ key }) => !subscriptions.has(key) && !poller.items.has(key),
    );
    const known = fresh.filter(({ key }) => subscriptions.has(key));
    const answers = await subscriptions.add(wanted);
    this.note(wanted, answers);
    // Others have had the first value of these already.
    await poller.readAll(known, signal);
  }

  #link(node: FoundNode, target: Target): Item {
    let item = this.#items.get(node.key);
    if (item === undefined) {
      item = { id: node.id, key: node.key, targets: [], isGone: false };
      this.#items.set(node.key, item);
      this.#dropped.delete(node.key);
    }
    item.targets.push(target);
    this.#fresh.add(item);
    return item;
  }

  #unlink(item: Item, target: Target): void {
    const index = item.targets.indexOf(target);
    if (index !== -1) {
      item.targets.splice(index, 1);
    }
    if (item.targets.length === 0) {
      this.#items.delete(item.key);
      this.#fresh.delete(item);
      this.#dropped.add(item.key);
    }
  }

  /** Says what became of items, and reads those that the server has no room for. */
  note(items: readonly Item[], answers: readonly Watched[]): void {
    const { host, said } = this.#options;
    const full: Item[] = [];
    for (const [index, item] of items.entries()) {
      const answer = answers[index] ?? "full";
      if (answer === "full") {
        full.push(item);
        continue;
      }
      const text = answer === "watched" ? "" : statusText(answer.refused);
      if (said.isNews(`item ${item.key}`, text)) {
        const keys = item.targets.map(({ device, key }) => `${device.name}: ${key}`);
        const fields = { node: item.key, keys: keys.slice(0, 10).join(", ") };
        if (text === "") {
          host.log.info("A node can be watched again", fields);
        } else {
          host.metrics.count("nodesRefused");
          host.log.warn("A node cannot be watched; it is tried again with each scan", {
            ...fields,
            status: text,
          });
        }
      }
    }
    if (full.length > 0) {
      host.log.warn("The server has no room for more monitored items; the others are read", {
        read: full.length,
      });
      this.#poller?.add(full);
    }
  }
}
