import type { Socket } from "node:net";
import * as mqttPacket from "mqtt-packet";
import { LoopbackServer } from "./loopback-server.ts";

/** A cable between a client and a broker that notes which QoS 1 messages the client has acknowledged. */
export class AckRelay extends LoopbackServer {
  /** Payloads of the acknowledged messages, by topic. */
  readonly acknowledged = new Map<string, Set<string>>();
  readonly #targetPort: number;

  private constructor(targetPort: number) {
    super();
    this.#targetPort = targetPort;
  }

  /** Leads to `port`. */
  static async open(port: number): Promise<AckRelay> {
    return await new AckRelay(port).listen();
  }

  protected override serve(near: Socket): void {
    const far = this.reach(near, this.#targetPort);
    const open = new Map<number, { readonly topic: string; readonly payload: string }>();
    const fromBroker = mqttPacket.parser();
    const fromClient = mqttPacket.parser();
    fromBroker.on("packet", (packet) => {
      if (packet.cmd === "publish" && packet.qos === 1) {
        open.set(packet.messageId ?? 0, {
          topic: packet.topic,
          payload: packet.payload.toString(),
        });
      }
    });
    fromClient.on("packet", (packet) => {
      const message = packet.cmd === "puback" ? open.get(packet.messageId ?? 0) : undefined;
      if (message !== undefined) {
        open.delete(Number(packet.messageId));
        const payloads = this.acknowledged.get(message.topic) ?? new Set();
        this.acknowledged.set(message.topic, payloads.add(message.payload));
      }
    });
    near.on("data", (bytes: Buffer) => {
      // Noted when the broker can have it: what is cut off before that is no acknowledgement.
      fromClient.parse(bytes);
      far.write(bytes);
    });
    far.on("data", (bytes: Buffer) => {
      fromBroker.parse(bytes);
      near.write(bytes);
    });
  }
}
