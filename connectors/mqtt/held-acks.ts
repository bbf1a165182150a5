import type { Socket } from "node:net";
import { type IPublishPacket, MqttClient, type Packet } from "mqtt";
import { writeToStream } from "mqtt-packet";
import type { Endpoint } from "#sdk/client-socket";
import type { Clock } from "#sdk/clock";
import { assert } from "#sdk/errors";
import type { Incoming, Intake } from "./intake.ts";

// mqtt-packet keeps a buffer for each of 65,536 numbers otherwise: 6 MB a thread for two bytes each.
writeToStream.cacheNumbers = false;

/** Version as MQTT numbers it: 3 is MQTT 3.1, 4 is 3.1.1. */
export type ProtocolVersion = 3 | 4 | 5;

/** How the gateway introduces itself to the broker. */
export interface ClientOptions {
  readonly endpoint: Endpoint;
  readonly version: ProtocolVersion;
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** `cleanSession` or `cleanStart`. */
  readonly clean: boolean;
  /** MQTT 5 only. */
  readonly sessionExpiryS: number;
  readonly keepAliveS: number;
  /** Unacknowledged QoS 1 and 2 messages an MQTT 5 broker may send us. */
  readonly receiveMaximum: number;
  readonly intake: Intake;
  readonly clock: Clock;
}

/** How long mqtt.js itself waits for CONNACK: longer than we do. */
const LIBRARY_TIMEOUT_MS = 60_000;

const EMPTY = Buffer.alloc(0);

/**
 * The mqtt.js client on an open socket, with its handling of incoming messages replaced: they are handed to `receive`, PUBLISH of
 * QoS 2 too, and mqtt.js reads on when `resume` is called. It sends no PUBACK and no PUBREC.
 */
export function createClient(
  socket: Socket,
  options: ClientOptions,
  hooks: { readonly receive: (packet: IPublishPacket, resume: () => void) => void },
): MqttClient {
  const { intake, version } = options;
  const client = new MqttClient(() => socket, {
    manualConnect: true,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    timerVariant: "native",
    // Ours comes first, and follows the clock.
    connectTimeout: LIBRARY_TIMEOUT_MS,
    protocolId: version === 3 ? "MQIsdp" : "MQTT",
    protocolVersion: version,
    clientId: options.clientId,
    clean: options.clean,
    keepalive: options.keepAliveS,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(version === 5
      ? {
          properties: {
            sessionExpiryInterval: options.sessionExpiryS,
            receiveMaximum: options.receiveMaximum,
          },
        }
      : {}),
  });
  client.incomingStore.put = (packet, done) => {
    if (packet.cmd === "publish") {
      hooks.receive(packet, done);
    }
    return client.incomingStore;
  };
  client.incomingStore.get = (packet, done) => {
    const messageId = packet.messageId ?? 0;
    if (intake.hasUnreleased(messageId)) {
      done(undefined, { ...RELEASED, messageId });
    } else {
      done(new Error("unknown packet identifier"));
    }
    return client.incomingStore;
  };
  client.incomingStore.del = (packet) => {
    intake.release(packet.messageId ?? 0);
    return client.incomingStore;
  };
  // QoS 2 comes here at PUBREL, after it was taken at PUBLISH.
  client.handleMessage = (packet, resume) =>
    packet.qos === 2 ? resume() : hooks.receive(packet, resume);
  swallowAcknowledgements(client);
  return client;
}

/** Stands for a QoS 2 message at PUBREL, when nothing but its identifier matters any more. */
const RELEASED = {
  cmd: "publish",
  topic: "",
  payload: EMPTY,
  qos: 2,
  dup: false,
  retain: false,
} as const;

/** Keeps mqtt.js from sending PUBACK and PUBREC; `_sendPacket` is its only way to send. */
function swallowAcknowledgements(client: MqttClient): void {
  const send: unknown = Reflect.get(client, "_sendPacket");
  assert(typeof send === "function", "mqtt.js no longer sends packets through _sendPacket");
  Reflect.set(client, "_sendPacket", (packet: Packet, done?: () => void, ...rest: unknown[]) => {
    if (packet.cmd === "puback" || packet.cmd === "pubrec") {
      done?.();
    } else {
      Reflect.apply(send, client, [packet, done, ...rest]);
    }
  });
}

/** A message of mqtt.js as the intake takes it. */
export function toIncoming(packet: IPublishPacket): Incoming {
  const identifier: number | readonly number[] | undefined =
    packet.properties?.subscriptionIdentifier;
  return {
    topic: packet.topic,
    payload: typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload,
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup,
    messageId: packet.messageId ?? 0,
    subscriptionIds: identifier === undefined ? NONE : [identifier].flat(),
  };
}

const NONE: readonly number[] = [];
