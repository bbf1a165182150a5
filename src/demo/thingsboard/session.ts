import type { IConnectPacket } from "mqtt-packet";
import { InvariantError } from "#sdk/errors";
import { AwaitedCalls } from "./awaited-calls.ts";
import { BoundDevice } from "./bound-device.ts";
import { authenticate, clientCertificates, RATE_LIMITED, type Refusal } from "./connect.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { ControlParser, pubackId } from "./control-parser.ts";
import type { DeviceSession, RpcCall } from "./device-session.ts";
import { Device, type DeviceProfile } from "./model.ts";
import {
  decodePublish,
  encodeConnack,
  encodePingresp,
  encodePublish,
  encodeSuback,
  encodeUnsuback,
  type Frame,
  PACKET_TYPE,
  REASON,
} from "./packets.ts";
import type { Platform } from "./platform.ts";
import { ProvisionSession } from "./provision-session.ts";
import type { Sender } from "./rate-limit.ts";
import { Subscriptions } from "./subscriptions.ts";
import { quote } from "./values.ts";

/** Most packets that wait for the CONNECT result or for a stalled server. */
const MAX_WAITING_PACKETS = 100;

/** One MQTT connection: CONNECT, subscriptions, publishes, and everything the server sends. */
export class Session implements ConnectionHandler, DeviceSession {
  readonly connection: Connection;
  readonly #platform: Platform;
  readonly #parser = new ControlParser();
  readonly #waiting: Frame[] = [];
  readonly #subscriptions = new Subscriptions();
  readonly #awaitedCalls: AwaitedCalls;
  #state: "connecting" | "open" | "provision" | "ended" = "connecting";
  #bound: BoundDevice | undefined;
  #provision: ProvisionSession | undefined;
  #nextPacketId: number;
  #lastActivityMs: number;
  #sweptMs = 0;
  clientId = "";

  constructor(connection: Connection, platform: Platform) {
    this.connection = connection;
    this.#platform = platform;
    this.#awaitedCalls = new AwaitedCalls(platform);
    this.#nextPacketId = platform.faults.firstPacketId;
    this.#lastActivityMs = platform.clock.monotonicMs();
  }

  get device(): Device {
    return this.#require().device;
  }

  get sender(): Sender {
    return this.#require().sender;
  }

  get boundName(): string {
    return this.device.name;
  }

  get profile(): DeviceProfile {
    return this.#require().profile;
  }

  get isClosed(): boolean {
    return this.connection.isClosed;
  }

  get isAttributesSubscribed(): boolean {
    return this.#subscriptions.attributesTopic !== undefined;
  }

  get isRpcSubscribed(): boolean {
    return this.#subscriptions.rpcPrefix !== undefined;
  }

  /** The device, undefined before CONNACK and for a provisioning client. */
  get boundDevice(): Device | undefined {
    return this.#bound?.device;
  }

  /** Filters the client is subscribed to. */
  get filters(): readonly string[] {
    return this.#subscriptions.filters;
  }

  /** Names of the open children. */
  get childNames(): readonly string[] {
    return this.#bound?.children.names() ?? [];
  }

  onPacket(frame: Frame): void {
    this.#lastActivityMs = this.#platform.clock.monotonicMs();
    const type = (frame.bytes[0] ?? 0) >> 4;
    if (type === PACKET_TYPE.CONNECT) {
      this.#connect(frame);
    } else if (this.#provision !== undefined) {
      this.#provision.handle(frame);
    } else if (this.#mustWait()) {
      this.#enqueue(frame);
    } else {
      this.#handle(frame);
    }
  }

  onEnd(): void {
    this.#unbind();
    this.#state = "ended";
    this.#waiting.length = 0;
    this.#awaitedCalls.clear();
  }

  /** Closes what was silent for too long; called now and then. */
  sweep(): void {
    const { timings, clock } = this.#platform;
    const sinceMs = clock.monotonicMs() - timings.sessionInactivityMs;
    if (
      this.#bound?.device.overwriteActivityTime === true &&
      this.#lastActivityMs >= this.#sweptMs
    ) {
      this.#bound.children.touchAll();
    }
    this.#sweptMs = clock.monotonicMs();
    this.#bound?.children.closeIdle(sinceMs);
    if (this.#lastActivityMs <= sinceMs) {
      this.connection.close(REASON.IMPLEMENTATION_SPECIFIC);
    }
  }

  sendAttributes(data: string): void {
    this.#send(this.#subscriptions.attributesTopic ?? "v1/devices/me/attributes", data);
  }

  sendRpc(call: RpcCall): boolean {
    const prefix = this.#subscriptions.rpcPrefix ?? "v1/devices/me/rpc/request/";
    const payload = `{"method":${quote(call.method)},"params":${call.params}}`;
    const packetId = this.#send(`${prefix}${call.id}`, payload);
    if (packetId === undefined) {
      return false;
    }
    this.#awaitedCalls.add(packetId, call);
    return true;
  }

  evict(code: number): void {
    this.connection.close(code);
  }

  #mustWait(): boolean {
    return (
      this.#state !== "open" ||
      this.#platform.faults.processing.isClosed ||
      this.#waiting.length > 0
    );
  }

  #enqueue(frame: Frame): void {
    if (this.#waiting.length >= MAX_WAITING_PACKETS) {
      this.connection.close(REASON.QUOTA_EXCEEDED);
      return;
    }
    this.#waiting.push({ ...frame, bytes: Buffer.from(frame.bytes) });
    if (this.#waiting.length === 1 && this.#platform.faults.processing.isClosed) {
      this.#platform.faults.processing.whenOpen(() => this.#drain());
    }
  }

  #drain(): void {
    while (this.#state === "open" && !this.#platform.faults.processing.isClosed) {
      const frame = this.#waiting.shift();
      if (frame === undefined) {
        return;
      }
      this.#handle(frame);
    }
  }

  #handle(frame: Frame): void {
    switch ((frame.bytes[0] ?? 0) >> 4) {
      case PACKET_TYPE.PUBLISH: {
        const publish = decodePublish(frame, this.connection.level ?? 4);
        if (publish === undefined) {
          this.#malformed();
        } else {
          this.#require().handle(publish);
        }
        return;
      }
      case PACKET_TYPE.SUBSCRIBE:
        this.#subscribe(frame);
        return;
      case PACKET_TYPE.UNSUBSCRIBE:
        this.#unsubscribe(frame);
        return;
      case PACKET_TYPE.PINGREQ:
        this.connection.send(encodePingresp());
        this.#touch();
        return;
      case PACKET_TYPE.PUBACK:
        this.#awaitedCalls.acknowledge(pubackId(frame) ?? -1);
        return;
      case PACKET_TYPE.DISCONNECT:
        this.connection.close(REASON.SUCCESS);
        return;
      default:
        // QoS 2 and AUTH do not exist for the server: such packets are skipped.
        return;
    }
  }

  #malformed(): void {
    this.connection.close(REASON.MALFORMED_PACKET);
  }

  #connect(frame: Frame): void {
    const connect = this.#parser.connect(frame);
    if (connect === undefined) {
      this.#malformed();
      return;
    }
    const { packet, level } = connect;
    this.connection.level = level;
    this.clientId = packet.clientId;
    const { faults } = this.#platform;
    this.#unbind();
    this.#state = "connecting";
    const code = faults.takeConnackCode();
    if (code !== undefined) {
      this.#refuse(packet, { returnCode: code, reasonCode: code, disconnectCode: code });
    } else if (packet.username === "provision" || packet.clientId === "provision") {
      this.#provision = new ProvisionSession(this.#platform, this.connection, this.#parser);
      this.#state = "provision";
      this.connection.send(encodeConnack(level, packet.clean === false, 0));
    } else {
      this.#platform.after(faults.connackDelayMs, () => this.#admit(packet));
    }
  }

  #admit(packet: IConnectPacket): void {
    if (this.isClosed) {
      return;
    }
    const { registry, limits } = this.#platform;
    const presented = {
      clientId: packet.clientId,
      username: packet.username ?? "",
      password: packet.password?.toString() ?? "",
      certificates: clientCertificates(this.connection.socket),
    };
    const found = authenticate(registry, presented, this.#platform.now());
    if (!(found instanceof Device)) {
      this.#refuse(packet, found);
      return;
    }
    const sender: Sender = { kind: found.isGateway ? "gateway" : "device", owner: found };
    if (!limits.tryTake(sender, 0)) {
      this.#refuse(packet, RATE_LIMITED);
      return;
    }
    this.#bound = new BoundDevice(found, {
      platform: this.#platform,
      connection: this.connection,
      sender,
      send: (topic, payload) => {
        this.#send(topic, payload);
      },
    });
    this.#state = "open";
    this.connection.send(
      encodeConnack(this.connection.level ?? 4, packet.clean === false, REASON.SUCCESS),
    );
    this.#platform.openSession(this);
    this.#drain();
    this.#platform.changed();
  }

  #refuse(packet: IConnectPacket, refusal: Refusal): void {
    const level = this.connection.level ?? 4;
    const code = level === 5 ? refusal.reasonCode : refusal.returnCode;
    // The server says "session present" whenever the client asked to keep one, on a refusal too.
    this.connection.send(encodeConnack(level, packet.clean === false, code));
    this.connection.close(refusal.disconnectCode);
  }

  #unbind(): void {
    const bound = this.#bound;
    if (bound !== undefined) {
      bound.end();
      this.#platform.closeSession(this);
      this.#bound = undefined;
    }
    this.#subscriptions.clear();
  }

  #require(): BoundDevice {
    if (this.#bound === undefined) {
      throw new InvariantError("The connection has no device");
    }
    return this.#bound;
  }

  #touch(): void {
    if (this.#bound !== undefined) {
      this.#platform.touch(this.#bound.device);
    }
  }

  #subscribe(frame: Frame): void {
    const packet = this.#parser.subscribe(frame);
    if (packet === undefined) {
      this.#malformed();
      return;
    }
    this.#touch();
    const level = this.connection.level ?? 4;
    let isRpcOpened = false;
    const { limits } = this.#platform;
    const pay = (): boolean => limits.tryTake(this.sender, 0);
    const codes = packet.subscriptions.map(({ topic, qos }) => {
      const { profile } = this;
      const subscribed = this.#subscriptions.add(topic, { qos, profile, pay });
      isRpcOpened ||= subscribed?.isRpcOpened ?? false;
      const refused = level === 5 ? REASON.TOPIC_FILTER_INVALID : REASON.UNSPECIFIED_ERROR;
      return subscribed?.grantedQos ?? refused;
    });
    this.connection.send(encodeSuback(level, packet.messageId, codes));
    if (isRpcOpened) {
      this.#platform.rpc.resend(this.device);
    }
  }

  #unsubscribe(frame: Frame): void {
    const packet = this.#parser.unsubscribe(frame);
    if (packet === undefined) {
      this.#malformed();
      return;
    }
    this.#touch();
    const codes = packet.unsubscriptions.map((filter) =>
      this.#subscriptions.remove(filter, this.profile)
        ? REASON.SUCCESS
        : REASON.NO_SUBSCRIPTION_EXISTED,
    );
    this.connection.send(encodeUnsuback(this.connection.level ?? 4, packet.messageId, codes));
  }

  /** Sends a message; returns its packet id as the server counts it, undefined at QoS 0. */
  #send(topic: string, payload: string | Buffer): number | undefined {
    const qos = this.#subscriptions.qosOf(topic);
    // The server counts on for ever; the wire has 16 bits, so the 65,536th message carries the id 0.
    const packetId = this.#nextPacketId;
    this.#nextPacketId += 1;
    const message = { topic, payload, qos, packetId };
    this.connection.send(encodePublish(this.connection.level ?? 4, message));
    return qos === 0 ? undefined : packetId;
  }
}
