/** MQTT protocol level: 3 is MQTT 3.1, 4 is MQTT 3.1.1, 5 is MQTT 5. */
export type ProtocolLevel = 3 | 4 | 5;

/** Reason codes of MQTT 5 §2.4 that the server uses. */
export const REASON = {
  SUCCESS: 0x00,
  NO_SUBSCRIPTION_EXISTED: 0x11,
  UNSPECIFIED_ERROR: 0x80,
  MALFORMED_PACKET: 0x81,
  IMPLEMENTATION_SPECIFIC: 0x83,
  CLIENT_IDENTIFIER_NOT_VALID: 0x85,
  BAD_USER_NAME_OR_PASSWORD: 0x86,
  NOT_AUTHORIZED: 0x87,
  SERVER_UNAVAILABLE: 0x88,
  SERVER_BUSY: 0x89,
  SERVER_SHUTTING_DOWN: 0x8b,
  SESSION_TAKEN_OVER: 0x8e,
  TOPIC_FILTER_INVALID: 0x8f,
  TOPIC_NAME_INVALID: 0x90,
  MESSAGE_RATE_TOO_HIGH: 0x96,
  QUOTA_EXCEEDED: 0x97,
  ADMINISTRATIVE_ACTION: 0x98,
  PAYLOAD_FORMAT_INVALID: 0x99,
  CONNECTION_RATE_EXCEEDED: 0x9f,
} as const;

/** Packet types of MQTT 5 §2.1.2. */
export const PACKET_TYPE = {
  CONNECT: 1,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREL: 6,
  SUBSCRIBE: 8,
  UNSUBSCRIBE: 10,
  PINGREQ: 12,
  DISCONNECT: 14,
} as const;

const PACKET_NAMES = [
  "reserved",
  "connect",
  "connack",
  "publish",
  "puback",
  "pubrec",
  "pubrel",
  "pubcomp",
  "subscribe",
  "suback",
  "unsubscribe",
  "unsuback",
  "pingreq",
  "pingresp",
  "disconnect",
  "auth",
] as const;

/** Lower-case name of a packet type, as in the MQTT standards. */
export type PacketName = (typeof PACKET_NAMES)[number];

/** Name of the packet whose first byte is `firstByte`. */
export function packetName(firstByte: number): PacketName {
  return PACKET_NAMES[firstByte >> 4] ?? "reserved";
}

/** One whole control packet. */
export interface Frame {
  /** All its bytes. They belong to a receive buffer: copy what is kept. */
  readonly bytes: Buffer;
  /** Where the variable header starts. */
  readonly bodyOffset: number;
}

/** What came of asking for the next packet: a packet, or why there is none. */
export type NextFrame = Frame | "incomplete" | "malformed" | "oversize";

/** Cuts the byte stream of a connection into control packets. */
export class Framer {
  #bytes: Buffer = Buffer.alloc(0);

  /** Adds received bytes. */
  append(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
  }

  /** Takes the next packet. `maxRemainingLength` bounds the Remaining Length of MQTT 5 §2.1.4. */
  next(maxRemainingLength: number): NextFrame {
    const bytes = this.#bytes;
    let length = 0;
    let offset = 1;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[offset];
      if (byte === undefined) {
        return "incomplete";
      }
      length += (byte & 0x7f) * 2 ** shift;
      offset += 1;
      if ((byte & 0x80) === 0) {
        break;
      }
      if (shift === 21) {
        return "malformed";
      }
    }
    if (length > maxRemainingLength) {
      return "oversize";
    }
    const end = offset + length;
    if (bytes.length < end) {
      return "incomplete";
    }
    this.#bytes = bytes.subarray(end);
    return { bytes: bytes.subarray(0, end), bodyOffset: offset };
  }
}

/** A PUBLISH as the server sees it. QoS 2 is told apart only to be answered like QoS 1. */
export interface Publish {
  readonly topic: string;
  /** Belongs to a receive buffer: copy what is kept. */
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly isDuplicate: boolean;
  /** 1 to 65,535; undefined at QoS 0. */
  readonly packetId: number | undefined;
}

/**
 * Decodes a PUBLISH (MQTT 5 §3.3). Properties are skipped: the server knows no topic alias. Returns undefined for a
 * malformed one: QoS 3, packet id 0, a wildcard in the topic, or fields longer than the packet.
 */
export function decodePublish(frame: Frame, level: ProtocolLevel): Publish | undefined {
  const { bytes, bodyOffset } = frame;
  const flags = bytes[0] ?? 0;
  const qos = (flags >> 1) & 3;
  if (qos === 3 || bytes.length < bodyOffset + 2) {
    return undefined;
  }
  const topicEnd = bodyOffset + 2 + bytes.readUInt16BE(bodyOffset);
  const headerEnd = qos === 0 ? topicEnd : topicEnd + 2;
  const payloadOffset = level === 5 ? skipProperties(bytes, headerEnd) : headerEnd;
  if (payloadOffset === undefined || payloadOffset > bytes.length) {
    return undefined;
  }
  const topic = bytes.toString("utf8", bodyOffset + 2, topicEnd);
  const packetId = qos === 0 ? undefined : bytes.readUInt16BE(topicEnd);
  if (packetId === 0 || /[+#]/.test(topic)) {
    return undefined;
  }
  const payload = bytes.subarray(payloadOffset);
  return { topic, payload, qos: QOS[qos] ?? 0, isDuplicate: (flags & 8) !== 0, packetId };
}

const QOS = [0, 1, 2] as const;

/** The offset behind the properties that start at `offset`, undefined when they run past the packet. */
function skipProperties(bytes: Buffer, offset: number): number | undefined {
  let length = 0;
  for (let index = 0; index < 4; index += 1) {
    const byte = bytes[offset + index];
    if (byte === undefined) {
      return undefined;
    }
    length += (byte & 0x7f) * 2 ** (7 * index);
    if ((byte & 0x80) === 0) {
      const end = offset + index + 1 + length;
      return end > bytes.length ? undefined : end;
    }
  }
  return undefined;
}

/** CONNACK (MQTT 5 §3.2); it never carries properties. */
export function encodeConnack(level: ProtocolLevel, sessionPresent: boolean, code: number): Buffer {
  const present = sessionPresent ? 1 : 0;
  return Buffer.from(level === 5 ? [0x20, 3, present, code, 0] : [0x20, 2, present, code]);
}

/** PUBACK. Below MQTT 5 there is no room for a reason, so every one looks like success. */
export function encodePuback(level: ProtocolLevel, packetId: number, code: number): Buffer {
  const [high, low] = [packetId >> 8, packetId & 0xff];
  return Buffer.from(
    level === 5 && code !== 0 ? [0x40, 4, high, low, code, 0] : [0x40, 2, high, low],
  );
}

/** SUBACK with one code for each filter. */
export function encodeSuback(
  level: ProtocolLevel,
  packetId: number,
  codes: readonly number[],
): Buffer {
  return encodeCodes(0x90, level, packetId, codes);
}

/** UNSUBACK; below MQTT 5 it has no codes. */
export function encodeUnsuback(
  level: ProtocolLevel,
  packetId: number,
  codes: readonly number[],
): Buffer {
  return encodeCodes(0xb0, level, packetId, level === 5 ? codes : []);
}

function encodeCodes(
  firstByte: number,
  level: ProtocolLevel,
  packetId: number,
  codes: readonly number[],
): Buffer {
  const properties = level === 5 ? [0] : [];
  const body = [packetId >> 8, packetId & 0xff, ...properties, ...codes];
  return Buffer.from([firstByte, ...encodeLength(body.length), ...body]);
}

/** DISCONNECT with a reason; MQTT 5 only (§3.14). */
export function encodeDisconnect(code: number): Buffer {
  return Buffer.from(code === 0 ? [0xe0, 0] : [0xe0, 2, code, 0]);
}

/** PINGRESP. */
export function encodePingresp(): Buffer {
  return Buffer.from([0xd0, 0]);
}

/** PUBLISH to the client, without properties. `packetId` is written modulo 65,536 and left out at QoS 0. */
export function encodePublish(
  level: ProtocolLevel,
  message: {
    readonly topic: string;
    readonly payload: string | Buffer;
    readonly qos: 0 | 1;
    readonly packetId: number;
  },
): Buffer {
  const topic = Buffer.from(message.topic);
  const payload = Buffer.from(message.payload);
  const id = message.packetId % 65_536;
  const head = [topic.length >> 8, topic.length & 0xff];
  const tail = message.qos === 0 ? [] : [id >> 8, id & 0xff];
  if (level === 5) {
    tail.push(0);
  }
  const length = head.length + topic.length + tail.length + payload.length;
  const first = message.qos === 0 ? 0x30 : 0x32;
  return Buffer.concat([
    Buffer.from([first, ...encodeLength(length), ...head]),
    topic,
    Buffer.from(tail),
    payload,
  ]);
}

function encodeLength(length: number): number[] {
  const bytes: number[] = [];
  let rest = length;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return bytes;
}
