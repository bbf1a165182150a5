import { DataError } from "#sdk/errors";
import type { Children, ChildSession, GatewayLink } from "./children.ts";
import { type JsonNode, type ObjectNode, parseJson, type ScalarNode } from "./json.ts";
import type { Outcome } from "./outcome.ts";
import { REASON } from "./packets.ts";
import { attributesText, type Platform } from "./platform.ts";
import { isRefusedKey, readAttributes, readTelemetry } from "./telemetry.ts";
import { downlinkText, quote, type TypedValue } from "./values.ts";

/** One publish on a gateway topic. */
export interface GatewayRequest {
  readonly topic: string;
  readonly text: string;
  readonly qos: 0 | 1 | 2;
  readonly isV5: boolean;
  /** Setting of the gateway's device profile. */
  readonly acksInvalid: boolean;
  readonly outcome: Outcome;
}

/** Notices of `v1/gateway/disconnect`: rate limit, other error, QoS 0 with several devices. */
const NOTICE = { RATE_LIMITED: 150, OTHER: 128, SEVERAL_DEVICES: 129 } as const;

/** ThingsBoard MQTT Gateway API: what a gateway may publish. */
export class GatewayApi {
  readonly #platform: Platform;
  readonly #link: GatewayLink;
  readonly #children: Children;

  constructor(platform: Platform, link: GatewayLink, children: Children) {
    this.#platform = platform;
    this.#link = link;
    this.#children = children;
  }

  /** Handles one publish; its outcome answers it, at once or when a child is open. */
  handle(request: GatewayRequest): void {
    const handler = this.#handlerOf(request.topic);
    if (handler === undefined) {
      request.outcome.unknownTopic();
      return;
    }
    let body: JsonNode;
    try {
      body = parseJson(request.text);
    } catch {
      request.outcome.invalidPayload(request.acksInvalid);
      return;
    }
    if (body.kind !== "object" || !handler(request, body)) {
      request.outcome.wrongShape();
    }
  }

  /** Handlers return false for a message of the wrong shape. */
  #handlerOf(topic: string): ((request: GatewayRequest, body: ObjectNode) => boolean) | undefined {
    switch (topic) {
      case "v1/gateway/telemetry":
        return (request, body) => this.#telemetry(request, body);
      case "v1/gateway/attributes":
        return (request, body) => this.#attributes(request, body);
      case "v1/gateway/connect":
        return (request, body) => this.#connect(request, body);
      case "v1/gateway/disconnect":
        return (request, body) => this.#disconnect(request, body);
      case "v1/gateway/attributes/request":
        return (request, body) => this.#attributesRequest(request, body);
      case "v1/gateway/rpc":
        return (request, body) => this.#rpcReply(request, body);
      case "v1/gateway/claim":
        return (request, body) => this.#claim(request, body);
      default:
        return undefined;
    }
  }

  #connect({ outcome }: GatewayRequest, body: ObjectNode): boolean {
    const name = scalar(body, "device")?.content ?? "";
    const type = body.members.get("type");
    if (name === "" || type?.kind === "array" || type?.kind === "object") {
      return false;
    }
    const profile = type === undefined || type.kind === "null" ? "default" : type.content;
    const isOpened = this.#children.withChild(name, profile, {
      opened: () => outcome.accept(),
      failed: (code) => outcome.cannotOpen(code, this.#platform.features.acksFailedConnect),
    });
    if (!isOpened) {
      outcome.uncaught();
    }
    return true;
  }

  #disconnect({ outcome }: GatewayRequest, body: ObjectNode): boolean {
    const name = scalar(body, "device")?.content ?? "";
    if (name === "") {
      return false;
    }
    const child = this.#children.find(name);
    if (child !== undefined) {
      this.#children.close(child);
    }
    outcome.accept();
    return true;
  }

  #telemetry(request: GatewayRequest, body: ObjectNode): boolean {
    return this.#eachDevice(request, body, {
      accepts: (node) => node.kind === "array",
      handle: (child, node) => this.#storeTelemetry(request, child, node),
    });
  }

  #attributes(request: GatewayRequest, body: ObjectNode): boolean {
    return this.#eachDevice(request, body, {
      accepts: (node) => node.kind === "object",
      handle: (child, node) => {
        const values: ReadonlyMap<string, TypedValue> =
          node.kind === "object" ? readAttributes(node) : new Map();
        if (!this.#pay(request, child, values.size)) {
          return;
        }
        if (request.outcome.losesData || [...values.keys()].some(isRefusedKey)) {
          this.#platform.counters.lost += values.size;
        } else {
          this.#platform.storeAttributes(child.device, values);
        }
        request.outcome.accept();
      },
    });
  }

  #claim(request: GatewayRequest, body: ObjectNode): boolean {
    return this.#eachDevice(request, body, {
      accepts: (node) => node.kind === "object",
      handle: (child, node) => {
        const claim = readClaim(node);
        if (this.#pay(request, child, 0)) {
          child.device.claims.push(claim);
          request.outcome.accept();
        }
      },
    });
  }

  /** Opens each usable device and hands it its part. False when no part is usable. */
  #eachDevice(
    request: GatewayRequest,
    body: ObjectNode,
    part: {
      readonly accepts: (node: JsonNode) => boolean;
      readonly handle: (child: ChildSession, node: JsonNode) => void;
    },
  ): boolean {
    const parts = [...body.members].filter(([, node]) => part.accepts(node));
    if (parts.length === 0) {
      return !this.#platform.features.refusesUnusable;
    }
    request.outcome.batch(parts.length, () => {
      for (const [index, [name, node]] of parts.entries()) {
        const isOpened = this.#children.withChild(name, "default", {
          opened: (child) => this.#handlePart(request, () => part.handle(child, node)),
          failed: (code) =>
            request.outcome.cannotOpen(code, this.#platform.features.acksFailedOpen),
        });
        if (!isOpened) {
          request.outcome.uncaught();
          return;
        }
        if (index > 0 && request.qos === 0) {
          this.#notice(request, name, NOTICE.SEVERAL_DEVICES);
        }
      }
    });
    return true;
  }

  #handlePart(request: GatewayRequest, handle: () => void): void {
    try {
      handle();
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      request.outcome.unreadablePart();
    }
  }

  #storeTelemetry(request: GatewayRequest, child: ChildSession, node: JsonNode): void {
    const items = node.kind === "array" ? node.items : [];
    if (items.length === 0) {
      // Nothing is queued for an empty list, so its acknowledgement never comes.
      return;
    }
    const platform = this.#platform;
    const { points, valueCount, metadata } = readTelemetry(items, {
      nowTs: platform.now(),
      hasMetadata: platform.features.hasSessionLimits,
      ownKey: (key) => platform.ownKey(key),
    });
    if (!this.#pay(request, child, valueCount)) {
      return;
    }
    if (request.outcome.losesData) {
      platform.counters.lost += valueCount;
    } else {
      platform.counters.lost += valueCount - points.length;
      platform.storePoints(child.device, points);
    }
    for (const each of metadata) {
      platform.metrics.record(this.#link.device, each, platform.now());
    }
    request.outcome.accept();
  }

  /** Pays for one device of a message and asks the queue; false when one of them refused. */
  #pay(request: GatewayRequest, child: ChildSession, valueCount: number): boolean {
    if (!this.#platform.limits.tryTake(child.sender, valueCount)) {
      this.#notice(request, child.boundName, NOTICE.RATE_LIMITED);
      request.outcome.rateLimited();
      return false;
    }
    if (request.outcome.failsQueue) {
      this.#notice(request, child.boundName, NOTICE.OTHER);
      request.outcome.queueFailed();
      return false;
    }
    this.#children.touch(child);
    return true;
  }

  /** MQTT 5 only. In later releases the close comes first, so that notices of a failure never arrive. */
  #notice(request: GatewayRequest, device: string, reason: number): void {
    const isSent =
      reason === NOTICE.SEVERAL_DEVICES
        ? !this.#platform.features.acksEachDevice
        : this.#platform.features.sendsDisconnectNotices;
    if (request.isV5 && isSent) {
      const payload = `{"device":${quote(device)},"reason":${reason}}`;
      this.#link.publish("v1/gateway/disconnect", payload);
    }
  }

  #attributesRequest(request: GatewayRequest, body: ObjectNode): boolean {
    const id = integer(body, "id");
    const name = scalar(body, "device")?.content;
    const client = scalar(body, "client");
    const keys = readKeys(body);
    if (id === undefined || name === undefined || client === undefined || keys === undefined) {
      return false;
    }
    const isClientScope = client.content.toLowerCase() === "true";
    const { outcome } = request;
    const isOpened = this.#children.withChild(name, "default", {
      opened: (child) => {
        if (!this.#pay(request, child, 0)) {
          return;
        }
        const values = attributesReply(child, isClientScope, keys);
        const reply = `{"id":${id},"device":${quote(child.boundName)}${values}}`;
        const send = (): void => this.#link.publish("v1/gateway/attributes/response", reply);
        if (this.#platform.faults.replyBeforePuback) {
          send();
          outcome.accept();
        } else {
          outcome.accept();
          send();
        }
      },
      failed: () => outcome.refuse(REASON.IMPLEMENTATION_SPECIFIC),
    });
    if (!isOpened) {
      outcome.uncaught();
    }
    return true;
  }

  #rpcReply(request: GatewayRequest, body: ObjectNode): boolean {
    const id = integer(body, "id");
    const name = scalar(body, "device")?.content;
    const data = body.members.get("data");
    if (id === undefined || name === undefined || data === undefined) {
      return false;
    }
    const isOpened = this.#children.withChild(name, "default", {
      opened: (child) => {
        if (this.#pay(request, child, 0)) {
          this.#platform.rpc.reply(child.device, id, data.text);
          request.outcome.accept();
        }
      },
      failed: (code) => request.outcome.cannotOpen(code, this.#platform.features.acksFailedOpen),
    });
    if (!isOpened) {
      request.outcome.uncaught();
    }
    return true;
  }
}

/** The members behind `id` and `device` of a reply, comma first. */
function attributesReply(
  child: ChildSession,
  isClientScope: boolean,
  keys: ReadonlySet<string>,
): string {
  const { client, shared } = child.device.attributes;
  if (keys.size === 0) {
    return allAttributes([client, shared]);
  }
  const scope = isClientScope ? client : shared;
  const found = [...scope].filter(([key]) => keys.has(key));
  const [only] = found;
  if (only === undefined) {
    return "";
  }
  return keys.size === 1
    ? `,"value":${downlinkText(only[1])}`
    : `,"values":${attributesText(found)}`;
}

/** An empty list of keys asks for everything; a scope with exactly one attribute shows it without its name. */
function allAttributes(scopes: readonly ReadonlyMap<string, TypedValue>[]): string {
  let value = "";
  const merged = new Map<string, TypedValue>();
  for (const scope of scopes) {
    const [only] = scope.values();
    if (scope.size === 1 && only !== undefined) {
      value = `,"value":${downlinkText(only)}`;
    } else {
      for (const [key, each] of scope) {
        merged.set(key, each);
      }
    }
  }
  return merged.size === 0 ? value : `${value},"values":${attributesText(merged)}`;
}

/** A claim with its defaults. @throws DataError for members of the wrong type. */
export function readClaim(node: JsonNode): {
  readonly secretKey: string;
  readonly durationMs: number;
} {
  const members = node.kind === "object" ? node.members : new Map<string, JsonNode>();
  const secret = members.get("secretKey");
  const duration = members.get("durationMs");
  const durationMs = duration === undefined ? 86_400_000 : Number(contentOf(duration));
  if (!Number.isInteger(durationMs)) {
    throw new DataError("durationMs of a claim must be an integer");
  }
  return { secretKey: secret === undefined ? "" : contentOf(secret), durationMs };
}

function contentOf(node: JsonNode): string {
  if (node.kind === "array" || node.kind === "object" || node.kind === "null") {
    throw new DataError(`Cannot take ${node.text} as a text`);
  }
  return node.content;
}

/** A member that is neither null nor nested. */
function scalar(body: ObjectNode, name: string): ScalarNode | undefined {
  const node = body.members.get(name);
  return node === undefined ||
    node.kind === "array" ||
    node.kind === "object" ||
    node.kind === "null"
    ? undefined
    : node;
}

function integer(body: ObjectNode, name: string): number | undefined {
  const value = Number(scalar(body, name)?.content ?? "x");
  return Number.isFinite(value) ? Math.trunc(value) : undefined;
}

function readKeys(body: ObjectNode): ReadonlySet<string> | undefined {
  if (body.members.has("key")) {
    const key = scalar(body, "key")?.content;
    return key === undefined ? undefined : new Set([key]);
  }
  const keys = body.members.get("keys");
  if (keys?.kind !== "array") {
    return undefined;
  }
  const names = new Set<string>();
  for (const item of keys.items) {
    if (item.kind === "array" || item.kind === "object" || item.kind === "null") {
      return undefined;
    }
    names.add(item.content);
  }
  return names;
}
