import type { ConnectorHost } from "#sdk/connector";
import type { OpcUaRead, UplinkConverter } from "#sdk/converter";
import type { LogFields } from "#sdk/logger";
import type { Child } from "./browse.ts";
import type { ServerSession } from "./client.ts";
import type { Device } from "./device.ts";
import { renderTemplate } from "./device-name.ts";
import { isBad, ServiceFault } from "./failures.ts";
import type { Intake } from "./intake.ts";
import { partsOf } from "./limits.ts";
import type { Mapping, Point } from "./mappings.ts";
import { type FinderNotes, type FoundNode, keyOf, NodeFinder } from "./node-finder.ts";
import type { Said } from "./said.ts";
import type { PlacedPoint, Watch } from "./watch.ts";

/** Devices that are looked at together: their values flow before the next ones are found. */
const DEVICES_AT_ONCE = 50;
/** Of more nodes than these below one, one of so many is shown. */
const MAP_LIMIT = 1000;

/** What a scanner knows over all sessions. */
export interface ScannerOptions {
  readonly host: ConnectorHost;
  readonly intake: Intake;
  readonly mappings: readonly Mapping[];
  readonly converters: ReadonlyMap<Mapping, UplinkConverter<OpcUaRead>>;
  /** The devices that were found so far, by name. */
  readonly devices: Map<string, Device>;
  readonly said: Said;
  /** Whether each path that is looked at goes into the log. */
  readonly showMap: boolean;
}

/** One look at the server. */
interface Look {
  readonly session: ServerSession;
  readonly finder: NodeFinder;
  readonly watch: Watch;
  readonly signal: AbortSignal;
  readonly seen: Map<string, string>;
  isComplete: boolean;
}

/** Where a device is. */
interface Place {
  readonly mapping: Mapping;
  readonly base: FoundNode;
}

interface Names {
  readonly name: string;
  readonly profile: string;
}

/** Finds the devices and their points. */
export class Scanner {
  readonly #options: ScannerOptions;

  constructor(options: ScannerOptions) {
    this.#options = options;
  }

  /**
   * Looks for all devices and points once. What is missing is said once; a device that is missing is disconnected.
   * @throws SessionLost, NoAnswer; rejects with `signal.reason`
   */
  async scan(session: ServerSession, watch: Watch, signal: AbortSignal): Promise<void> {
    const finder = new NodeFinder(session, this.#finderNotes());
    const look: Look = { session, finder, watch, signal, seen: new Map(), isComplete: true };
    await watch.renewGone();
    for (const mappings of partsOf(this.#options.mappings, DEVICES_AT_ONCE)) {
      signal.throwIfAborted();
      const found = await Promise.all(mappings.map((mapping) => this.#basesOf(mapping, look)));
      const places = mappings.flatMap((mapping, index) =>
        (found[index] ?? []).map((base) => ({ mapping, base })),
      );
      for (const part of partsOf(places, DEVICES_AT_ONCE)) {
        await this.#take(part, look);
      }
    }
    if (look.isComplete) {
      await this.#dropMissing(look);
    }
    await watch.commit(signal);
  }

  async #basesOf(mapping: Mapping, look: Look): Promise<readonly FoundNode[]> {
    const { host, said } = this.#options;
    const pattern = mapping.config.deviceNodePattern;
    try {
      const bases = await look.finder.bases(mapping.pattern);
      if (said.isNews(mapping.path, bases.length === 0 ? "none" : "")) {
        const fields = { mapping: mapping.path, pattern, device: mapping.nameText };
        if (bases.length === 0) {
          host.log.error(
            "No node of the server is this device; it is looked for with each scan",
            fields,
          );
        } else {
          host.log.info("The node of a device is there", fields);
        }
      }
      return bases;
    } catch (error) {
      if (!(error instanceof ServiceFault)) {
        throw error;
      }
      look.isComplete = false;
      host.log.warn("Cannot look for a device", { mapping: mapping.path, pattern, error });
      return [];
    }
  }

  /** Devices whose base nodes were found. */
  async #take(places: readonly Place[], look: Look): Promise<void> {
    const { host, intake } = this.#options;
    const names = await Promise.all(places.map((place) => this.#namesOf(place, look)));
    const devices = places.map((place, index) => {
      const own = names[index];
      return own === undefined ? undefined : this.#claim(place, own, look);
    });
    const constants = intake.result();
    await Promise.all(
      devices.map(async (device) => {
        if (device !== undefined) {
          await host.devices.connect(device.name, device.profile);
          look.watch.place(device, await this.#pointsOf(device, look));
          for (const point of device.mapping.points) {
            if ("constant" in point.source) {
              const { section, stamp, key = point.source.constant } = point;
              const target = { device, key, section, stamp, isBad: false };
              constants.addConstant(target, point.source.constant);
            }
          }
        }
      }),
    );
    await look.watch.commit(look.signal);
    if (!constants.isEmpty) {
      await intake.put(constants, look.signal);
    }
  }

  /** Name and profile of the device at a base node; `undefined` when it has no name now. */
  async #namesOf({ mapping, base }: Place, look: Look): Promise<Names | undefined> {
    const { host, said, devices } = this.#options;
    const fields = { mapping: mapping.path, node: base.key };
    try {
      const [name, profile] = await Promise.all([
        renderTemplate(mapping.name, base.id, look),
        renderTemplate(mapping.profile, base.id, look),
      ]);
      const missing = "missing" in name ? name.missing : "";
      if (said.isNews(`name ${mapping.path} ${base.key}`, missing) && missing !== "") {
        const message = "A device has no name; it is tried again with each scan";
        host.log.warn(message, { ...fields, missing });
      }
      if ("text" in name) {
        return { name: name.text, profile: "text" in profile ? profile.text : "default" };
      }
    } catch (error) {
      if (!(error instanceof ServiceFault)) {
        throw error;
      }
      look.isComplete = false;
      host.log.warn("Cannot read the name of a device", { ...fields, error });
    }
    // A node that had a name keeps it.
    const known = devices
      .values()
      .find((device) => device.mapping === mapping && device.baseKey === base.key);
    return known === undefined ? undefined : { name: known.name, profile: known.profile };
  }

  /** The device of that name, new or known; `undefined` when the name belongs to another node. */
  #claim({ mapping, base }: Place, { name, profile }: Names, look: Look): Device | undefined {
    const { host, said, devices, converters } = this.#options;
    const owner = look.seen.get(name);
    if (owner !== undefined && owner !== base.key) {
      if (said.isNews(`double ${mapping.path} ${base.key}`, name)) {
        const fields = { mapping: mapping.path, node: base.key, device: name, first: owner };
        host.log.error("Two nodes have the same device name; the first one has it", fields);
      }
      return undefined;
    }
    look.seen.set(name, base.key);
    const known = devices.get(name);
    if (known?.mapping === mapping && known.profile === profile) {
      known.base = base.id;
      known.baseKey = base.key;
      return known;
    }
    if (known !== undefined) {
      look.watch.remove(known);
    }
    const device: Device = {
      name,
      profile,
      mapping,
      converter: converters.get(mapping),
      keyStrategies: undefined,
      base: base.id,
      baseKey: base.key,
    };
    devices.set(name, device);
    return device;
  }

  async #pointsOf(device: Device, look: Look): Promise<readonly PlacedPoint[]> {
    const placed = await Promise.all(
      device.mapping.points.map((point) => this.#pointOf(point, device, look)),
    );
    return placed.filter((one) => one !== undefined);
  }

  async #pointOf(point: Point, device: Device, look: Look): Promise<PlacedPoint | undefined> {
    if (!("node" in point.source)) {
      return undefined;
    }
    const thing = `point ${point.path} ${device.name}`;
    const fields = { device: device.name, point: point.path, key: point.key };
    try {
      const found = await look.finder.find(point.source.node, device.base);
      const [node, other] = found;
      if (this.#options.said.isNews(thing, node === undefined ? "none" : (other?.key ?? ""))) {
        this.#sayPoint(fields, node, other);
      }
      const key = point.key ?? (await nameOf(node, look.session));
      if (key === undefined) {
        return undefined;
      }
      if (point.strategy !== undefined) {
        device.keyStrategies ??= {};
        device.keyStrategies[key] = point.strategy;
      }
      return { point, key, node };
    } catch (error) {
      if (!(error instanceof ServiceFault)) {
        throw error;
      }
      this.#options.host.log.warn("Cannot look for a point", { ...fields, error });
      return undefined; // It stays where it is.
    }
  }

  #sayPoint(fields: LogFields, node: FoundNode | undefined, other: FoundNode | undefined): void {
    const { log } = this.#options.host;
    if (node === undefined) {
      log.warn("A point has no node; it is looked for with each scan", fields);
    } else if (other === undefined) {
      log.info("The node of a point is there", fields);
    } else {
      const both = { ...fields, node: node.key, other: other.key };
      log.warn("A point has several nodes; the first one counts", both);
    }
  }

  /** Devices whose nodes are gone. They are kept in mind: they come back with their nodes. */
  async #dropMissing(look: Look): Promise<void> {
    const { host, devices } = this.#options;
    for (const device of devices.values()) {
      if (!look.seen.has(device.name)) {
        devices.delete(device.name);
        look.watch.remove(device);
        host.log.warn("The node of a device is gone", {
          device: device.name,
          node: device.baseKey,
        });
        await host.devices.disconnect(device.name);
      }
    }
  }

  #finderNotes(): FinderNotes {
    const { host, said, showMap } = this.#options;
    const seen = (path: string, children: readonly Child[]): void => {
      const step = children.length > MAP_LIMIT ? MAP_LIMIT : 1;
      for (let index = 0; index < children.length; index += step) {
        const child = children[index];
        if (child !== undefined) {
          host.log.info("A path of the server", {
            path: `${path} / ${child.name}`,
            node: keyOf(child.id),
          });
        }
      }
    };
    return {
      ...(showMap ? { seen } : {}),
      otherNamespace: (segment: string): void => {
        if (said.isNews(`segment ${segment}`, "other")) {
          host.log.warn("The namespace of a path is another one than that of the node", {
            segment,
          });
        }
      },
      tooMany: (limit: number): void => {
        if (said.isNews("fan-out", String(limit))) {
          host.log.warn("A path has too many nodes; the rest is left out", { limit });
        }
      },
    };
  }
}

/** The name of a node that was given by its id. */
async function nameOf(
  node: FoundNode | undefined,
  session: ServerSession,
): Promise<string | undefined> {
  if (node === undefined || node.name !== undefined) {
    return node?.name?.name;
  }
  const { AttributeIds } = session.library;
  const answer = await session.readOne({
    nodeId: node.id,
    attributeId: AttributeIds.BrowseName,
  });
  const name: unknown = isBad(answer.statusCode) ? undefined : answer.value.value?.name;
  return typeof name === "string" ? name : undefined;
}
