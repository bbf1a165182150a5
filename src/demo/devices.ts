import { connectAsync, type MqttClient } from "mqtt";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";

/** A device of the demo: what it says, where and how often. */
export interface SimulatedDevice {
  readonly name: string;
  readonly topic: string;
  readonly periodMs: number;
  /** JSON text of one message at `elapsedMs` since the start. */
  readonly message: (elapsedMs: number) => string;
}

/** A value that swings slowly around `middle`, with one decimal. */
function wave(middle: number, swing: number, elapsedMs: number, periodMs: number): string {
  return (middle + swing * Math.sin((2 * Math.PI * elapsedMs) / periodMs)).toFixed(1);
}

/** Three devices as plants have them; the energy meter counts beyond what a double can hold. */
export const SIMULATED_DEVICES: readonly SimulatedDevice[] = [
  {
    name: "Boiler room",
    topic: "plant/climate",
    periodMs: 500,
    message: (ms) =>
      `{"serialNumber":"Boiler room","model":"TH-7","temp":${wave(24, 3, ms, 20_000)},"hum":${wave(48, 6, ms, 33_000)}}`,
  },
  {
    name: "Pump 1",
    topic: "plant/pumps/Pump 1/state",
    periodMs: 200,
    message: (ms) =>
      `{"rpm":${Math.round(1450 + 30 * Math.sin(ms / 3000))},"pressure":${wave(3.2, 0.4, ms, 15_000)},"running":${ms % 30_000 < 27_000}}`,
  },
  {
    name: "Meter hall 2",
    topic: "plant/meters/Meter hall 2",
    periodMs: 1000,
    message: (ms) =>
      `{"energyWh":${9_007_199_254_740_993n + BigInt(Math.floor(ms / 100))},"power":${wave(5200, 900, ms, 12_000)}}`,
  },
];

/** The mappings of the gateway for these devices, as a person would write them. */
export const DEMO_MAPPINGS = [
  {
    topicFilter: "plant/climate",
    subscriptionQos: 1,
    converter: {
      type: "json",
      deviceInfo: {
        deviceNameExpressionSource: "message",
        deviceNameExpression: "${serialNumber}",
        deviceProfileExpressionSource: "constant",
        deviceProfileExpression: "Thermometer",
      },
      attributes: [{ type: "string", key: "model", value: "${model}" }],
      timeseries: [
        { type: "double", key: "temperature", value: "${temp}" },
        { type: "double", key: "humidity", value: "${hum}" },
      ],
    },
  },
  {
    topicFilter: "plant/pumps/+/state",
    subscriptionQos: 1,
    converter: {
      type: "json",
      deviceInfo: {
        deviceNameExpressionSource: "topic",
        deviceNameExpression: "plant/pumps/([^/]+)/state",
        deviceProfileExpressionSource: "constant",
        deviceProfileExpression: "Pump",
      },
      timeseries: [
        { type: "integer", key: "rpm", value: "${rpm}" },
        { type: "double", key: "pressure", value: "${pressure}" },
        { type: "boolean", key: "running", value: "${running}" },
      ],
    },
  },
  {
    topicFilter: "plant/meters/+",
    subscriptionQos: 1,
    converter: {
      type: "json",
      deviceInfo: {
        deviceNameExpressionSource: "topic",
        deviceNameExpression: "plant/meters/([^/]+)",
        deviceProfileExpressionSource: "constant",
        deviceProfileExpression: "Energy meter",
      },
      timeseries: [
        { type: "long", key: "energyWh", value: "${energyWh}" },
        { type: "double", key: "power", value: "${power}" },
      ],
    },
  },
] as const;

/** The simulated devices at work: each publishes with QoS 1 until disposed. */
export class DeviceSimulation implements AsyncDisposable {
  readonly #client: MqttClient;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #loops: Promise<unknown>;
  #published = 0;

  private constructor(client: MqttClient, clock: Clock, log: Logger) {
    this.#client = client;
    this.#clock = clock;
    this.#log = log;
    this.#loops = Promise.allSettled(SIMULATED_DEVICES.map((device) => this.#simulate(device)));
  }

  /** Connects to the broker on loopback and starts. */
  static async start(port: number, clock: Clock, log: Logger): Promise<DeviceSimulation> {
    const client = await connectAsync({ host: "127.0.0.1", port, clientId: "demo-devices" });
    return new DeviceSimulation(client, clock, log);
  }

  /** Messages the broker has acknowledged. */
  get published(): number {
    return this.#published;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loops;
    await this.#client.endAsync().catch(() => undefined); // The broker may be gone already.
  }

  async #simulate(device: SimulatedDevice): Promise<void> {
    const { signal } = this.#stop;
    const startMs = this.#clock.monotonicMs();
    while (!signal.aborted) {
      try {
        const elapsedMs = this.#clock.monotonicMs() - startMs;
        await this.#client.publishAsync(device.topic, device.message(elapsedMs), { qos: 1 });
        this.#published += 1;
      } catch (error) {
        this.#log.warn("A simulated device cannot publish", { error: errorText(error) });
      }
      await this.#clock.sleep(device.periodMs, signal).catch(() => undefined); // Told to stop.
    }
  }
}
