import { DataError } from "#sdk/errors";
import { readClaim } from "./gateway-api.ts";
import { type JsonNode, type ObjectNode, parseJson } from "./json.ts";
import type { Device, DeviceProfile } from "./model.ts";
import { OtaChunks } from "./ota.ts";
import type { Outcome } from "./outcome.ts";
import { attributesText, type Platform } from "./platform.ts";
import type { Sender } from "./rate-limit.ts";
import { isRefusedKey, readAttributes, readTelemetry } from "./telemetry.ts";
import { type DeviceTopic, parseDeviceTopic } from "./topics.ts";
import { quote, type TypedValue } from "./values.ts";

/** The connection of a device as this API needs it. */
export interface DeviceLink {
  readonly device: Device;
  readonly sender: Sender;
  readonly profile: DeviceProfile;
  readonly isClosed: boolean;
  publish(topic: string, payload: string | Buffer): void;
  close(code: number): void;
}

/** One publish on a device topic. */
export interface DeviceRequest {
  readonly topic: string;
  readonly text: string;
  readonly outcome: Outcome;
}

type ReplyTopic = Extract<DeviceTopic, { readonly replyTopic: string }>;

const INTEGER = /^[+-]?\d{1,10}$/;

/** ThingsBoard MQTT Device API: what a device publishes about itself, a gateway's own device included. */
export class DeviceApi {
  readonly #platform: Platform;
  readonly #link: DeviceLink;
  readonly #chunks: OtaChunks;

  constructor(platform: Platform, link: DeviceLink) {
    this.#platform = platform;
    this.#link = link;
    this.#chunks = new OtaChunks(link);
  }

  /** Handles one publish. */
  handle(request: DeviceRequest): void {
    const topic = parseDeviceTopic(request.topic, this.#link.profile);
    if (topic === undefined) {
      request.outcome.unknownTopic();
      return;
    }
    try {
      this.#dispatch(request, topic);
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      if (error.reason === "bad-ts" || error.reason === "uncaught") {
        request.outcome.uncaught();
      } else {
        request.outcome.invalidPayload(this.#link.profile.sendAckOnValidationException);
      }
    }
  }

  #dispatch(request: DeviceRequest, topic: DeviceTopic): void {
    switch (topic.kind) {
      case "telemetry":
        this.#telemetry(request);
        return;
      case "attributes":
        this.#attributes(request);
        return;
      case "claim":
        this.#claim(request);
        return;
      case "attributes-request":
        this.#attributesRequest(request, topic);
        return;
      case "rpc-reply":
        this.#rpcReply(request, topic);
        return;
      case "client-rpc":
        this.#clientRpc(request, topic, topic.isFirstVersion);
        return;
      default:
        if (this.#pay(request, 0)) {
          this.#chunks.handle(topic, request);
        }
    }
  }

  #telemetry(request: DeviceRequest): void {
    const body = parseJson(request.text);
    if (body.kind !== "array" && body.kind !== "object") {
      throw new DataError("Telemetry must be an object or an array");
    }
    const items = body.kind === "array" ? body.items : [body];
    if (items.length === 0) {
      // Nothing is queued for an empty list, so its acknowledgement never comes.
      return;
    }
    const platform = this.#platform;
    const { points, valueCount } = readTelemetry(items, {
      nowTs: platform.now(),
      hasMetadata: false,
      ownKey: (key) => platform.ownKey(key),
    });
    if (!this.#pay(request, valueCount)) {
      return;
    }
    if (request.outcome.losesData) {
      platform.counters.lost += valueCount;
    } else {
      platform.counters.lost += valueCount - points.length;
      platform.storePoints(this.#link.device, points);
    }
    request.outcome.accept();
  }

  #attributes(request: DeviceRequest): void {
    const values = readAttributes(objectBody(request.text));
    if (!this.#pay(request, values.size)) {
      return;
    }
    if (request.outcome.losesData || [...values.keys()].some(isRefusedKey)) {
      this.#platform.counters.lost += values.size;
    } else {
      this.#platform.storeAttributes(this.#link.device, values);
    }
    request.outcome.accept();
  }

  #claim(request: DeviceRequest): void {
    const body = parseJson(request.text);
    if (body.kind !== "object" && body.kind !== "null") {
      throw new DataError("A claim must be an object");
    }
    const claim = readClaim(body);
    if (this.#pay(request, 0)) {
      this.#link.device.claims.push(claim);
      request.outcome.accept();
    }
  }

  #attributesRequest(request: DeviceRequest, topic: ReplyTopic): void {
    integerId(topic.id, "bad-id");
    const reply = attributesReply(this.#link.device, objectBody(request.text));
    if (!this.#pay(request, 0)) {
      return;
    }
    const send = (): void => this.#link.publish(topic.replyTopic, reply);
    if (this.#platform.faults.replyBeforePuback) {
      send();
      request.outcome.accept();
    } else {
      request.outcome.accept();
      send();
    }
  }

  #rpcReply(request: DeviceRequest, topic: ReplyTopic): void {
    const id = integerId(topic.id, "bad-id");
    if (this.#pay(request, 0)) {
      this.#platform.rpc.reply(this.#link.device, id, request.text);
      request.outcome.accept();
    }
  }

  #clientRpc(request: DeviceRequest, topic: ReplyTopic, isFirstVersion: boolean): void {
    const body = objectBody(request.text);
    integerId(topic.id, "uncaught");
    const method = body.members.get("method");
    if (method === undefined || method.kind === "object" || method.kind === "array") {
      throw new DataError("A call needs a method", { reason: "uncaught" });
    }
    const { features } = this.#platform;
    if (method.content === "getSessionLimits" && isFirstVersion && features.hasSessionLimits) {
      request.outcome.accept();
      this.#link.publish(topic.replyTopic, this.#sessionLimits());
      return;
    }
    if (!this.#pay(request, 0)) {
      return;
    }
    request.outcome.accept();
    const params = body.members.get("params")?.text ?? "null";
    const name = this.#link.device.name;
    const reply = this.#platform.clientRpc(name, method.content, params);
    if (reply !== undefined) {
      this.#link.publish(topic.replyTopic, reply);
      return;
    }
    this.#platform.after(this.#platform.timings.clientRpcTimeoutMs, () =>
      this.#link.publish(topic.replyTopic, '{"error":"timeout"}'),
    );
  }

  #sessionLimits(): string {
    const { limits, faults } = this.#platform;
    const { kind } = this.#link.sender;
    return JSON.stringify({
      maxPayloadSize: faults.reportedPacketSize ?? faults.maxPacketSize,
      maxInflightMessages: 100,
      rateLimits: limits.texts(kind),
      ...(kind === "gateway" ? { gatewayRateLimits: limits.texts("child") } : {}),
    });
  }

  /** Pays for a message and asks the queue; false when one of them refused. */
  #pay(request: DeviceRequest, valueCount: number): boolean {
    const isPaid = this.#platform.limits.tryTake(this.#link.sender, valueCount);
    if (!isPaid || request.outcome.failsQueue) {
      request.outcome.deviceFailure();
      return false;
    }
    return true;
  }
}

function objectBody(text: string): ObjectNode {
  const body = parseJson(text);
  if (body.kind !== "object") {
    throw new DataError("The message must be an object");
  }
  return body;
}

/** The id at the end of a topic. @throws DataError with `reason` when it is no 32-bit integer. */
function integerId(text: string, reason: string): number {
  const id = Number(text);
  if (!INTEGER.test(text) || id > 0x7fff_ffff || id < -0x8000_0000) {
    throw new DataError(`Cannot take "${text}" as an id: need a 32-bit integer`, { reason });
  }
  return id;
}

function attributesReply(device: Device, body: ObjectNode): string {
  const clientKeys = keyList(body.members.get("clientKeys"));
  const sharedKeys = keyList(body.members.get("sharedKeys"));
  const isAll = clientKeys === undefined && sharedKeys === undefined;
  const parts = [
    scopeText("client", device.attributes.client, isAll ? "all" : clientKeys),
    scopeText("shared", device.attributes.shared, isAll ? "all" : sharedKeys),
  ];
  return `{${parts.filter((part) => part !== "").join(",")}}`;
}

/** Names are separated by commas and not trimmed: `"a, b"` asks for `a` and for ` b`. */
function keyList(node: JsonNode | undefined): ReadonlySet<string> | undefined {
  if (node === undefined) {
    return undefined;
  }
  if (node.kind !== "string") {
    throw new DataError("Keys must be one text with commas");
  }
  return new Set(node.content.split(","));
}

function scopeText(
  name: string,
  values: ReadonlyMap<string, TypedValue>,
  keys: ReadonlySet<string> | "all" | undefined,
): string {
  if (keys === undefined) {
    return "";
  }
  const found = [...values].filter(([key]) => keys === "all" || keys.has(key));
  return found.length === 0 ? "" : `${quote(name)}:${attributesText(found)}`;
}
