import type { Socket } from "node:net";
import * as mqttPacket from "mqtt-packet";
import { LoopbackServer } from "./loopback-server.ts";
import { until } from "./until.ts";

type Packet = mqttPacket.Packet;

/** One client of the scripted broker. */
export class ScriptedPeer {
  readonly socket: Socket;
  /** Every packet the client has sent, in order. */
  readonly received: Packet[] = [];
  version: 3 | 4 | 5 = 4;
  isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  send(packet: Packet): void {
    this.socket.write(mqttPacket.generate(packet, { protocolVersion: this.version }));
  }

  /** Sends one PUBLISH. */
  publish(
    topic: string,
    payload: string | Buffer,
    options: Partial<mqttPacket.IPublishPacket> = {},
  ): void {
    this.send({
      cmd: "publish",
      topic,
      payload,
      qos: 0,
      dup: false,
      retain: false,
      ...options,
    });
  }

  /** The packets of one kind. */
  of<Cmd extends Packet["cmd"]>(cmd: Cmd): readonly Extract<Packet, { cmd: Cmd }>[] {
    return this.received.filter((one): one is Extract<Packet, { cmd: Cmd }> => one.cmd === cmd);
  }

  /** Identifiers of the packets of one kind, in order. */
  ids(cmd: "puback" | "pubrec" | "pubcomp"): readonly (number | undefined)[] {
    return this.of(cmd).map(({ messageId }) => messageId);
  }

  /**
   * Resolves when the client has read everything sent so far and its answers are here: it answers the PUBREL of an unknown
   * identifier at once (MQTT 5 §4.3.3), after all that came before.
   */
  async roundTrip(): Promise<void> {
    this.send({
      cmd: "pubrel",
      messageId: 65_535,
      ...(this.version === 5 ? { reasonCode: 0 } : {}),
    });
    await this.packet("pubcomp", this.of("pubcomp").length + 1);
  }

  /** Waits for a packet of a kind; the n-th one. */
  async packet<Cmd extends Packet["cmd"]>(
    cmd: Cmd,
    count = 1,
  ): Promise<Extract<Packet, { cmd: Cmd }>> {
    await until(`${count} ${cmd}`, () => this.of(cmd).length >= count);
    const found = this.of(cmd)[count - 1];
    if (found === undefined) {
      throw new Error(`There is no ${cmd}`);
    }
    return found;
  }
}

/** How the broker answers. */
export interface Script {
  readonly connack?: Partial<mqttPacket.IConnackPacket>;
  /** Answers to the filters of a SUBSCRIBE; default: what was asked for. */
  readonly suback?: (filter: string, qos: number, count: number) => number;
  /** Whether it acknowledges what the client publishes with QoS 1 and 2. */
  readonly acknowledges?: boolean;
  /** Packets that get no answer. */
  readonly silentTo?: readonly Packet["cmd"][];
}

/**
 * A broker that does only what a test tells it: it answers CONNECT, SUBSCRIBE, UNSUBSCRIBE and PINGREQ, writes down what it
 * receives, and sends nothing else by itself.
 */
export class ScriptedBroker extends LoopbackServer {
  readonly peers: ScriptedPeer[] = [];
  readonly #script: (connection: number) => Script;

  private constructor(script: (connection: number) => Script) {
    super();
    this.#script = script;
  }

  /** Listens, on a free port unless one is given. `script` may change between two connections. */
  static async listen(
    script: (connection: number) => Script = () => ({}),
    port = 0,
  ): Promise<ScriptedBroker> {
    return await new ScriptedBroker(script).listen(port);
  }

  /** The n-th client that connected. */
  async peer(count = 1): Promise<ScriptedPeer> {
    await until(`connection ${count}`, () => this.peers.length >= count);
    const peer = this.peers[count - 1];
    if (peer === undefined) {
      throw new Error(`There is no connection ${count}`);
    }
    return peer;
  }

  protected override serve(socket: Socket): void {
    const script = this.#script(this.connections);
    const peer = new ScriptedPeer(socket);
    const parser = mqttPacket.parser();
    let subscriptions = 0;
    this.peers.push(peer);
    socket.on("close", () => {
      peer.isClosed = true;
    });
    socket.on("data", (chunk: Buffer) => parser.parse(chunk));
    parser.on("packet", (packet: Packet) => {
      peer.received.push(packet);
      if (script.silentTo?.includes(packet.cmd) === true) {
        return;
      }
      if (packet.cmd === "connect") {
        peer.version = packet.protocolVersion === 5 ? 5 : 4;
        peer.send({
          cmd: "connack",
          sessionPresent: false,
          ...(peer.version === 5 ? { reasonCode: 0 } : { returnCode: 0 }),
          ...script.connack,
        });
      } else if (packet.cmd === "subscribe") {
        subscriptions += 1;
        const granted = packet.subscriptions.map(({ topic, qos }) =>
          script.suback === undefined ? qos : script.suback(topic, qos, subscriptions),
        );
        peer.send({ cmd: "suback", messageId: packet.messageId ?? 0, granted });
      } else if (packet.cmd === "unsubscribe") {
        const granted = packet.unsubscriptions.map(() => 0);
        peer.send({ cmd: "unsuback", messageId: packet.messageId ?? 0, granted });
      } else if (packet.cmd === "pingreq") {
        peer.send({ cmd: "pingresp" });
      } else if (script.acknowledges === true) {
        acknowledge(peer, packet);
      }
    });
  }
}

function acknowledge(peer: ScriptedPeer, packet: Packet): void {
  if (packet.cmd === "publish" && packet.qos > 0) {
    peer.send({ cmd: packet.qos === 1 ? "puback" : "pubrec", messageId: packet.messageId ?? 0 });
  } else if (packet.cmd === "pubrel") {
    peer.send({ cmd: "pubcomp", messageId: packet.messageId ?? 0 });
  }
}
