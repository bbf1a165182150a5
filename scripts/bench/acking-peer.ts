import { createServer, type Server, type Socket } from "node:net";
import { generate, type IPublishPacket, type Packet, parser } from "mqtt-packet";

const REQUEST = "v1/devices/me/rpc/request/";
const ATTRIBUTES = "v1/devices/me/attributes/request/";
const LIMITS =
  '{"maxPayloadSize":65536,"maxInflightMessages":100,"rateLimits":{"messages":null,"telemetryMessages":null,"telemetryDataPoints":null},"gatewayRateLimits":{"messages":null,"telemetryMessages":null,"telemetryDataPoints":null}}';

/**
 * The cheapest peer that a gateway takes for a platform: it acknowledges everything, answers what a session asks at its start, and looks at
 * no payload by itself.
 */
export class AckingPeer implements Disposable {
  readonly #server: Server;
  readonly #onPublish: (packet: IPublishPacket) => void;
  readonly #sockets = new Set<Socket>();

  constructor(onPublish: (packet: IPublishPacket) => void) {
    this.#onPublish = onPublish;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Listens on 127.0.0.1; port 0 chooses a free one. Resolves with the port. */
  async listen(port: number): Promise<number> {
    const listening = Promise.withResolvers<void>();
    this.#server.once("error", listening.reject);
    this.#server.listen(port, "127.0.0.1", listening.resolve);
    await listening.promise;
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  [Symbol.dispose](): void {
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  #serve(socket: Socket): void {
    const packets = parser({ protocolVersion: 5 });
    const write = (packet: Packet): void => {
      socket.write(generate(packet, { protocolVersion: 5 }));
    };
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.on("data", (data: Buffer) => {
      socket.cork();
      packets.parse(data);
      socket.uncork();
    });
    packets.on("packet", (packet) => {
      switch (packet.cmd) {
        case "connect":
          write({ cmd: "connack", reasonCode: 0, sessionPresent: false });
          break;
        case "subscribe":
          write({
            cmd: "suback",
            messageId: packet.messageId ?? 1,
            granted: packet.subscriptions.map(() => 1),
          });
          break;
        case "publish":
          write({ cmd: "puback", messageId: packet.messageId ?? 1, reasonCode: 0 });
          if (packet.topic.startsWith(REQUEST)) {
            const topic = `v1/devices/me/rpc/response/${packet.topic.slice(REQUEST.length)}`;
            write({ cmd: "publish", topic, payload: LIMITS, qos: 0, dup: false, retain: false });
          }
          if (packet.topic.startsWith(ATTRIBUTES)) {
            const topic = `v1/devices/me/attributes/response/${packet.topic.slice(ATTRIBUTES.length)}`;
            write({ cmd: "publish", topic, payload: "{}", qos: 0, dup: false, retain: false });
          }
          this.#onPublish(packet);
          break;
        case "pingreq":
          write({ cmd: "pingresp" });
          break;
        default:
          break;
      }
    });
  }
}
