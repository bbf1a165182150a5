import type { ServerLimits } from "./client.ts";
import { filterCovers, filtersOverlap, splitShare } from "./topics.ts";

/** A topic filter somebody in the configuration wants. */
export interface Wanted {
  readonly filter: string;
  readonly qos: 0 | 1 | 2;
  /** Things work without it, if less well: a refusal is no fault of the connector. */
  readonly optional?: boolean;
}

/** What counts of a broker's limits here. */
export type SubscriptionLimits = Pick<
  ServerLimits,
  "wildcards" | "sharedSubscriptions" | "subscriptionIdentifiers"
>;

/** Filters that go into one SUBSCRIBE packet. */
export interface SubscribePacket {
  readonly filters: readonly Wanted[];
  readonly identifier: number | undefined;
}

/** What is sent to a broker so that every wanted filter is served, each message once if the broker can do that. */
export interface SubscriptionPlan {
  readonly packets: readonly SubscribePacket[];
  /** Filters the broker cannot serve, with the reason. */
  readonly impossible: readonly {
    readonly filter: string;
    readonly reason: string;
    readonly optional: boolean;
  }[];
  /** The identifier under which the broker delivers a filter; empty when no two filters overlap. */
  readonly identifiers: ReadonlyMap<string, number>;
}

/** Brokers refuse longer lists: AWS IoT and others stop at 8 to 100. */
const FILTERS_PER_PACKET = 100;
/** Largest subscription identifier (MQTT 5 §3.8.2.1.2): the one of subscriptions that are made for a single response. */
export const REPLY_IDENTIFIER = 268_435_455;

/**
 * Plans the subscriptions. Two filters that match the same topic can make the broker deliver a message once for each. With
 * MQTT 5 such filters get different identifiers, which tell the deliveries apart. Without, a filter that another one covers
 * is not subscribed: its messages arrive through the other. `refused` filters are left out, and cover nothing.
 */
export function planSubscriptions(
  wanted: readonly Wanted[],
  limits: SubscriptionLimits,
  refused: ReadonlySet<string> = new Set(),
): SubscriptionPlan {
  const unique = mergeByFilter(wanted).filter(({ filter }) => !refused.has(filter));
  const impossible: SubscriptionPlan["impossible"][number][] = [];
  const possible = unique.filter(({ filter, optional = false }) => {
    const reason = whyImpossible(filter, limits);
    if (reason !== undefined) {
      impossible.push({ filter, reason, optional });
    }
    return reason === undefined;
  });
  if (!limits.subscriptionIdentifiers) {
    const filters = withoutCovered(possible);
    return { packets: split(filters, undefined), impossible, identifiers: new Map() };
  }
  const groups = groupApart(possible);
  if (groups.length <= 1) {
    return { packets: split(possible, undefined), impossible, identifiers: new Map() };
  }
  const identifiers = new Map<string, number>();
  const packets: SubscribePacket[] = [];
  for (const group of groups) {
    const identifier = identifierOf(group);
    for (const { filter } of group) {
      identifiers.set(filter, identifier);
    }
    packets.push(...split(group, identifier));
  }
  return { packets, impossible, identifiers };
}

/** Each filter once, with the highest QoS anyone wants. */
function mergeByFilter(wanted: readonly Wanted[]): readonly Wanted[] {
  const merged = new Map<string, Wanted>();
  for (const one of wanted) {
    const known = merged.get(one.filter);
    const optional = one.optional === true && (known === undefined || known.optional === true);
    const qos = known === undefined || known.qos < one.qos ? one.qos : known.qos;
    merged.set(one.filter, withOptional(one.filter, qos, optional));
  }
  return [...merged.values()];
}

function withOptional(filter: string, qos: 0 | 1 | 2, optional: boolean): Wanted {
  return optional ? { filter, qos, optional } : { filter, qos };
}

function whyImpossible(filter: string, limits: SubscriptionLimits): string | undefined {
  const parts = splitShare(filter);
  if (parts.group !== undefined && !limits.sharedSubscriptions) {
    return "the broker does not support shared subscriptions";
  }
  if (/(^|\/)[+#](\/|$)/.test(parts.filter) && !limits.wildcards) {
    return "the broker does not support wildcards";
  }
  return undefined;
}

function withoutCovered(wanted: readonly Wanted[]): readonly Wanted[] {
  const isCovered = ({ filter }: Wanted): boolean =>
    wanted.some((other) => other.filter !== filter && filterCovers(other.filter, filter));
  return wanted
    .filter((one) => !isCovered(one))
    .map((one) => {
      const below = wanted.filter((other) => filterCovers(one.filter, other.filter));
      const isOptional = below.every(({ optional }) => optional === true);
      return withOptional(one.filter, highestQos(below), isOptional);
    });
}

function highestQos(wanted: readonly Wanted[]): 0 | 1 | 2 {
  let highest: 0 | 1 | 2 = 0;
  for (const { qos } of wanted) {
    highest = qos > highest ? qos : highest;
  }
  return highest;
}

/** Groups within which no two filters overlap, as few as a first fit gives. */
function groupApart(wanted: readonly Wanted[]): readonly (readonly Wanted[])[] {
  const groups: Wanted[][] = [];
  for (const one of wanted) {
    const group = groups.find((members) =>
      members.every(({ filter }) => !filtersOverlap(filter, one.filter)),
    );
    if (group === undefined) {
      groups.push([one]);
    } else {
      group.push(one);
    }
  }
  return groups;
}

function split(filters: readonly Wanted[], identifier: number | undefined): SubscribePacket[] {
  const packets: SubscribePacket[] = [];
  for (let start = 0; start < filters.length; start += FILTERS_PER_PACKET) {
    packets.push({ filters: filters.slice(start, start + FILTERS_PER_PACKET), identifier });
  }
  return packets;
}

/**
 * A number made from the group's filters (FNV-1a). The broker keeps identifiers in a persistent session: one that meant other
 * filters in the last run must not be taken for one of today.
 */
function identifierOf(group: readonly Wanted[]): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(group.map(({ filter }) => filter).join("\n"))) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return 1 + (hash % (REPLY_IDENTIFIER - 1));
}
