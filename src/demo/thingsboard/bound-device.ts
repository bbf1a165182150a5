import { Children } from "./children.ts";
import type { Connection } from "./connection.ts";
import { DeviceApi } from "./device-api.ts";
import { GatewayApi } from "./gateway-api.ts";
import type { Device, DeviceProfile } from "./model.ts";
import { Outcome } from "./outcome.ts";
import type { Publish } from "./packets.ts";
import type { Platform } from "./platform.ts";
import type { Sender } from "./rate-limit.ts";

/** The device that one CONNECT was accepted for, with both interfaces it may use. Over with the next CONNECT. */
export class BoundDevice {
  readonly device: Device;
  readonly profile: DeviceProfile;
  readonly sender: Sender;
  readonly children: Children;
  readonly #platform: Platform;
  readonly #connection: Connection;
  readonly #send: (topic: string, payload: string | Buffer) => void;
  readonly #gatewayApi: GatewayApi;
  readonly #deviceApi: DeviceApi;
  #isOver = false;

  /** `send` writes a message to the client. */
  constructor(
    device: Device,
    options: {
      readonly platform: Platform;
      readonly connection: Connection;
      readonly sender: Sender;
      readonly send: (topic: string, payload: string | Buffer) => void;
    },
  ) {
    this.device = device;
    this.#platform = options.platform;
    this.#connection = options.connection;
    this.#send = options.send;
    this.sender = options.sender;
    this.profile = options.platform.registry.profile(device.profile);
    this.children = new Children(options.platform, this);
    this.#gatewayApi = new GatewayApi(options.platform, this, this.children);
    this.#deviceApi = new DeviceApi(options.platform, this);
  }

  get isClosed(): boolean {
    return this.#isOver || this.#connection.isClosed;
  }

  /** Sends a message to the client; nothing once it is over. */
  publish(topic: string, payload: string | Buffer): void {
    if (this.isClosed) {
      return;
    }
    const { downlinkListeners } = this.#platform;
    if (downlinkListeners.size > 0) {
      const event = { connection: this.#connection.number, topic, text: payload.toString() };
      for (const listener of downlinkListeners) {
        listener(event);
      }
    }
    this.#send(topic, payload);
  }

  /** Closes the connection with an MQTT 5 reason. */
  close(code: number): void {
    this.#connection.close(code);
  }

  /** Ends all children; nothing is sent any more. */
  end(): void {
    this.#isOver = true;
    this.children.closeAll();
  }

  /** Handles one publish of the client. */
  handle(publish: Publish): void {
    const { topic, qos } = publish;
    const platform = this.#platform;
    const text = publish.payload.toString("utf8");
    platform.counters.publishes += 1;
    const connection = this.#connection.number;
    for (const listener of platform.publishListeners) {
      const { isDuplicate, packetId } = publish;
      listener({ connection, topic, text, qos, isDuplicate, packetId });
    }
    const fault = platform.faults.takePublishFault({ topic, text, connection });
    const outcome = new Outcome(platform, this.#connection, publish, fault);
    if (fault?.action === "ignore") {
      return;
    }
    if (fault?.action === "refuse") {
      outcome.refuse(fault.code);
      if (fault.close === true) {
        this.#connection.close(fault.code);
      }
      return;
    }
    platform.touch(this.device);
    if (!topic.startsWith("v1/gateway")) {
      this.#deviceApi.handle({ topic, text, outcome });
    } else if (this.sender.kind === "gateway") {
      const acksInvalid = this.profile.sendAckOnValidationException;
      const isV5 = this.#connection.level === 5;
      this.#gatewayApi.handle({ topic, text, qos, isV5, acksInvalid, outcome });
    }
    // A gateway topic from a device that is no gateway gets no answer of any kind.
  }
}
