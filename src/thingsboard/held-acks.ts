import type { MqttClient } from "mqtt";
import type { Packet } from "mqtt-packet";
import { assert } from "#sdk/errors";

/** Most acknowledgements that wait behind a held one; then that one is given up. */
const MAX_WAITING = 1000;

interface Ack {
  state: "held" | "ready" | "never";
  /** `undefined` before it is due. */
  packet: Packet | undefined;
}

/**
 * Keeps the PUBACK of a message back until it is certain that the message was taken, while the client reads on. Those behind it wait
 * too: acknowledgements leave in the order in which the messages came (MQTT 4.6).
 */
export class HeldAcks {
  readonly #client: MqttClient;
  readonly #send: (packet: Packet) => void;
  /** By packet identifier. */
  readonly #held = new Map<number, Ack>();
  #queue: Ack[] = [];

  /** Takes the place of `_sendPacket` of the client, which is its only way to send. */
  constructor(client: MqttClient) {
    this.#client = client;
    const send: unknown = Reflect.get(client, "_sendPacket");
    assert(typeof send === "function", "mqtt.js no longer sends packets through _sendPacket");
    this.#send = (packet) => {
      Reflect.apply(send, client, [packet]);
    };
    Reflect.set(client, "_sendPacket", (packet: Packet, done?: () => void, ...rest: unknown[]) => {
      if (packet.cmd === "puback" && this.#keeps(packet)) {
        done?.();
      } else {
        Reflect.apply(send, client, [packet, done, ...rest]);
      }
    });
  }

  /**
   * For a message that is being handled: it is acknowledged when `taken` resolves with true, and never on this connection when
   * with false. `taken` must not reject.
   */
  hold(messageId: number, taken: Promise<boolean>): void {
    const ack: Ack = { state: "held", packet: undefined };
    this.#held.set(messageId, ack);
    const settle = (state: Ack["state"]): void => {
      this.#held.delete(messageId);
      ack.state = state;
      this.#flush();
    };
    taken.then(
      (isTaken) => settle(isTaken ? "ready" : "never"),
      () => settle("never"),
    );
  }

  /** Whether the packet has to wait. */
  #keeps(packet: Packet): boolean {
    const held = this.#held.get(packet.messageId ?? 0);
    if (held === undefined && this.#queue.length === 0) {
      return false;
    }
    const ack = held ?? { state: "ready", packet };
    ack.packet = packet;
    this.#queue.push(ack);
    const [first] = this.#queue;
    if (this.#queue.length > MAX_WAITING && first !== undefined) {
      first.state = "never";
      this.#flush();
    }
    return true;
  }

  #flush(): void {
    const next = this.#queue.findIndex(({ state }) => state === "held");
    const due = next < 0 ? this.#queue : this.#queue.slice(0, next);
    this.#queue = this.#queue.slice(due.length);
    for (const { packet, state } of due) {
      if (packet !== undefined && state === "ready" && this.#client.connected) {
        this.#send(packet);
      }
    }
  }
}
