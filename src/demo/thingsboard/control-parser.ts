import {
  type IConnectPacket,
  type ISubscribePacket,
  type IUnsubscribePacket,
  type Packet,
  type Parser,
  parser,
} from "mqtt-packet";
import { type Frame, PACKET_TYPE, type ProtocolLevel } from "./packets.ts";

/** Longest client id of MQTT 3.1 (§3.1). */
const MAX_CLIENT_ID_LENGTH_3_1 = 23;

/** Decodes the control packets of one connection that are rare enough to leave to the library. */
export class ControlParser {
  readonly #parser: Parser;
  #packet: Packet | undefined;
  #isBroken = false;

  constructor() {
    this.#parser = parser();
    this.#parser.on("packet", (packet) => {
      this.#packet = packet;
    });
    this.#parser.on("error", () => {
      this.#isBroken = true;
    });
  }

  /** A CONNECT of MQTT 3.1, 3.1.1 or 5; undefined for anything the server calls malformed. */
  connect(
    frame: Frame,
  ): { readonly packet: IConnectPacket; readonly level: ProtocolLevel } | undefined {
    // The library also takes the bridge levels 131 and 132, which the server does not know.
    const levelByte = frame.bytes[frame.bodyOffset + 2 + (frame.bytes[frame.bodyOffset + 1] ?? 0)];
    const packet = this.#parse(frame);
    if (packet?.cmd !== "connect") {
      return undefined;
    }
    const { protocolId, clientId } = packet;
    if (levelByte === 3 && protocolId === "MQIsdp") {
      const isFit = clientId !== "" && clientId.length <= MAX_CLIENT_ID_LENGTH_3_1;
      return isFit ? { packet, level: 3 } : undefined;
    }
    if ((levelByte === 4 || levelByte === 5) && protocolId === "MQTT") {
      return { packet, level: levelByte };
    }
    return undefined;
  }

  /** A SUBSCRIBE with a packet id, undefined for a malformed one. */
  subscribe(frame: Frame): (ISubscribePacket & { readonly messageId: number }) | undefined {
    const packet = this.#parse(frame);
    return packet?.cmd === "subscribe" && packet.messageId !== undefined && packet.messageId > 0
      ? { ...packet, messageId: packet.messageId }
      : undefined;
  }

  /** An UNSUBSCRIBE with a packet id, undefined for a malformed one. */
  unsubscribe(frame: Frame): (IUnsubscribePacket & { readonly messageId: number }) | undefined {
    const packet = this.#parse(frame);
    return packet?.cmd === "unsubscribe" && packet.messageId !== undefined && packet.messageId > 0
      ? { ...packet, messageId: packet.messageId }
      : undefined;
  }

  #parse(frame: Frame): Packet | undefined {
    this.#packet = undefined;
    this.#isBroken = false;
    try {
      this.#parser.parse(frame.bytes);
    } catch {
      // Lengths that point past the packet make the library throw instead of telling.
      return undefined;
    }
    return this.#isBroken ? undefined : this.#packet;
  }
}

/** The packet id of a PUBACK, undefined when it is cut off. */
export function pubackId(frame: Frame): number | undefined {
  const { bytes, bodyOffset } = frame;
  const isPuback = (bytes[0] ?? 0) >> 4 === PACKET_TYPE.PUBACK;
  return isPuback && bytes.length >= bodyOffset + 2 ? bytes.readUInt16BE(bodyOffset) : undefined;
}
