import type { DeviceProfile } from "./model.ts";

/** What an accepted filter switches on; `none` only fixes the QoS. */
export type FilterEffect =
  | { readonly kind: "attributes"; readonly topic: string }
  | { readonly kind: "rpc"; readonly prefix: string }
  | { readonly kind: "none" };

const NONE: FilterEffect = { kind: "none" };

const FILTERS = new Map<string, FilterEffect>([
  ["v2/a", { kind: "attributes", topic: "v2/a" }],
  ["v2/a/j", { kind: "attributes", topic: "v2/a/j" }],
  ["v2/a/p", { kind: "attributes", topic: "v2/a/p" }],
  ["v1/devices/me/rpc/request/+", { kind: "rpc", prefix: "v1/devices/me/rpc/request/" }],
  ["v2/r/req/+", { kind: "rpc", prefix: "v2/r/req/" }],
  ["v2/r/req/j/+", { kind: "rpc", prefix: "v2/r/req/j/" }],
  ["v2/r/req/p/+", { kind: "rpc", prefix: "v2/r/req/p/" }],
  ["v1/devices/me/attributes/response/+", NONE],
  ["v2/a/res/+", NONE],
  ["v2/a/res/j/+", NONE],
  ["v2/a/res/p/+", NONE],
  ["v1/devices/me/rpc/response/+", NONE],
  ["v2/r/res/+", NONE],
  ["v2/r/res/j/+", NONE],
  ["v2/r/res/p/+", NONE],
  ["v1/gateway/attributes", NONE],
  ["v1/gateway/attributes/response", NONE],
  ["v1/gateway/rpc", NONE],
  ["v2/fw/response/+/chunk/+", NONE],
  ["v2/sw/response/+/chunk/+", NONE],
  ["v2/fw/error", NONE],
  ["v2/sw/error", NONE],
]);

/** What a filter does; undefined when the server refuses it. Filters are compared as text, wildcards mean nothing. */
export function filterEffect(filter: string, profile: DeviceProfile): FilterEffect | undefined {
  if (filter === "v1/devices/me/attributes" || filter === profile.attributesSubscribeTopic) {
    return { kind: "attributes", topic: filter };
  }
  return FILTERS.get(filter);
}

/** Whether `topic` falls under `filter` (MQTT 5 §4.7). */
export function matchesFilter(topic: string, filter: string): boolean {
  if (!filter.includes("+") && !filter.includes("#")) {
    return topic === filter;
  }
  const levels = topic.split("/");
  const parts = filter.split("/");
  for (const [index, part] of parts.entries()) {
    if (part === "#") {
      return true;
    }
    if (levels[index] === undefined || (part !== "+" && part !== levels[index])) {
      return false;
    }
  }
  return levels.length === parts.length;
}

/** A publish topic of a device, taken apart. */
export type DeviceTopic =
  | { readonly kind: "telemetry" | "attributes" | "claim" }
  | {
      readonly kind: "attributes-request" | "rpc-reply";
      readonly id: string;
      readonly replyTopic: string;
    }
  | {
      readonly kind: "client-rpc";
      readonly id: string;
      readonly replyTopic: string;
      /** Only this family is asked about session limits. */
      readonly isFirstVersion: boolean;
    }
  | {
      readonly kind: "chunk";
      readonly package: "fw" | "sw";
      readonly request: string;
      readonly chunk: number;
    };

const SIMPLE = new Map<string, DeviceTopic>([
  ["v1/devices/me/claim", { kind: "claim" }],
  ["v2/t", { kind: "telemetry" }],
  ["v2/t/j", { kind: "telemetry" }],
  ["v2/a", { kind: "attributes" }],
  ["v2/a/j", { kind: "attributes" }],
]);

const PREFIXES: readonly {
  readonly prefix: string;
  readonly reply: string;
  readonly kind: "attributes-request" | "rpc-reply" | "client-rpc";
}[] = [
  {
    prefix: "v1/devices/me/attributes/request/",
    reply: "v1/devices/me/attributes/response/",
    kind: "attributes-request",
  },
  { prefix: "v1/devices/me/rpc/response/", reply: "", kind: "rpc-reply" },
  {
    prefix: "v1/devices/me/rpc/request/",
    reply: "v1/devices/me/rpc/response/",
    kind: "client-rpc",
  },
  { prefix: "v2/a/req/j/", reply: "v2/a/res/j/", kind: "attributes-request" },
  { prefix: "v2/a/req/", reply: "v2/a/res/", kind: "attributes-request" },
  { prefix: "v2/r/res/j/", reply: "", kind: "rpc-reply" },
  { prefix: "v2/r/res/", reply: "", kind: "rpc-reply" },
  { prefix: "v2/r/req/j/", reply: "v2/r/res/j/", kind: "client-rpc" },
  { prefix: "v2/r/req/", reply: "v2/r/res/", kind: "client-rpc" },
];

const CHUNK = /^v2\/(fw|sw)\/request\/([^/]+)\/chunk\/(\d+)$/;

/** Takes a publish topic of a device apart; undefined for one nobody knows. */
export function parseDeviceTopic(topic: string, profile: DeviceProfile): DeviceTopic | undefined {
  if (matchesFilter(topic, profile.attributesTopic)) {
    return { kind: "attributes" };
  }
  if (matchesFilter(topic, profile.telemetryTopic)) {
    return { kind: "telemetry" };
  }
  const simple = SIMPLE.get(topic);
  if (simple !== undefined) {
    return simple;
  }
  for (const { prefix, reply, kind } of PREFIXES) {
    if (topic.startsWith(prefix)) {
      const id = topic.slice(prefix.length);
      const isFirstVersion = prefix.startsWith("v1/");
      return { kind, id, replyTopic: reply + id, isFirstVersion };
    }
  }
  const [, family, request, chunk] = CHUNK.exec(topic) ?? [];
  if (request === undefined || chunk === undefined) {
    return undefined;
  }
  return { kind: "chunk", package: family === "sw" ? "sw" : "fw", request, chunk: Number(chunk) };
}
