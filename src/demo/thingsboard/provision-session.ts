import { DataError } from "#sdk/errors";
import type { Connection } from "./connection.ts";
import type { ControlParser } from "./control-parser.ts";
import {
  decodePublish,
  encodePingresp,
  encodePuback,
  encodePublish,
  encodeSuback,
  encodeUnsuback,
  type Frame,
  PACKET_TYPE,
  type Publish,
  REASON,
} from "./packets.ts";
import type { Platform } from "./platform.ts";
import { PROVISION_REQUEST_TOPIC, PROVISION_RESPONSE_TOPIC, provision } from "./provisioning.ts";

/** A connection that may do nothing but provision a device. */
export class ProvisionSession {
  readonly #platform: Platform;
  readonly #connection: Connection;
  readonly #parser: ControlParser;
  #nextPacketId: number;
  #qos: 0 | 1 = 1;

  constructor(platform: Platform, connection: Connection, parser: ControlParser) {
    this.#platform = platform;
    this.#connection = connection;
    this.#parser = parser;
    this.#nextPacketId = platform.faults.firstPacketId;
  }

  /** Handles one packet after CONNACK. */
  handle(frame: Frame): void {
    switch ((frame.bytes[0] ?? 0) >> 4) {
      case PACKET_TYPE.PUBLISH: {
        const publish = decodePublish(frame, this.#level);
        if (publish === undefined) {
          this.#connection.close(REASON.MALFORMED_PACKET);
        } else {
          this.#publish(publish);
        }
        return;
      }
      case PACKET_TYPE.SUBSCRIBE:
        this.#subscribe(frame);
        return;
      case PACKET_TYPE.UNSUBSCRIBE: {
        const packet = this.#parser.unsubscribe(frame);
        if (packet === undefined) {
          this.#connection.close(REASON.MALFORMED_PACKET);
        } else {
          const codes = packet.unsubscriptions.map(() => REASON.SUCCESS);
          this.#connection.send(encodeUnsuback(this.#level, packet.messageId, codes));
        }
        return;
      }
      case PACKET_TYPE.PINGREQ:
        this.#connection.send(encodePingresp());
        return;
      case PACKET_TYPE.DISCONNECT:
        this.#connection.close(REASON.SUCCESS);
        return;
      default:
        return;
    }
  }

  get #level(): 3 | 4 | 5 {
    return this.#connection.level ?? 4;
  }

  #subscribe(frame: Frame): void {
    const packet = this.#parser.subscribe(frame);
    if (packet === undefined) {
      this.#connection.close(REASON.MALFORMED_PACKET);
      return;
    }
    const refused = this.#level === 5 ? REASON.TOPIC_FILTER_INVALID : REASON.UNSPECIFIED_ERROR;
    const codes = packet.subscriptions.map(({ topic, qos }) => {
      if (topic !== PROVISION_RESPONSE_TOPIC) {
        return refused;
      }
      this.#qos = qos === 0 ? 0 : 1;
      return this.#qos;
    });
    this.#connection.send(encodeSuback(this.#level, packet.messageId, codes));
  }

  #publish(publish: Publish): void {
    this.#platform.counters.publishes += 1;
    if (publish.topic !== PROVISION_REQUEST_TOPIC) {
      this.#refuse(publish, REASON.TOPIC_NAME_INVALID);
      return;
    }
    let reply: string;
    try {
      reply = provision(this.#platform.registry, publish.payload.toString("utf8"));
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      this.#invalid(publish, error.reason);
      return;
    }
    this.#puback(publish, REASON.SUCCESS);
    const packetId = this.#nextPacketId;
    this.#nextPacketId += 1;
    const message = { topic: PROVISION_RESPONSE_TOPIC, payload: reply, qos: this.#qos, packetId };
    this.#connection.send(encodePublish(this.#level, message));
    this.#platform.after(this.#platform.timings.provisionCloseMs, () =>
      this.#connection.close(REASON.SUCCESS),
    );
  }

  #invalid(publish: Publish, reason: string): void {
    if (reason === "bad-shape") {
      this.#refuse(publish, REASON.IMPLEMENTATION_SPECIFIC);
    } else if (this.#level === 5 && publish.qos > 0) {
      this.#puback(publish, REASON.PAYLOAD_FORMAT_INVALID);
    } else {
      this.#connection.close(REASON.PAYLOAD_FORMAT_INVALID);
    }
  }

  #refuse(publish: Publish, code: number): void {
    this.#puback(publish, code);
    this.#connection.close(code);
  }

  #puback(publish: Publish, code: number): void {
    if (publish.packetId !== undefined) {
      this.#platform.counters.pubacks += 1;
      this.#platform.counters.refusals += code >= 0x80 ? 1 : 0;
      this.#connection.send(encodePuback(this.#level, publish.packetId, code));
    }
  }
}
