import { connectAsync, type MqttClient } from "mqtt";
import { systemClock } from "../../src/sdk/clock.ts";

/** What a source publishes. */
export interface SourceOptions {
  readonly port: number;
  readonly devices: number;
  readonly valuesPerSecond: number;
  /** Added to each message, so that payloads have a size. Default: nothing. */
  readonly padding?: string;
}

const TICK_MS = 20;
/** After a hold-up of the test itself the rate is made up for over this long at most. */
const MAX_BURST_MS = 1000;

/** Publishes one numbered value a message, QoS 1, at a fixed rate: device d gets seq 0, 1, 2, … on `plant/d/data`. */
export class NumberedSource implements AsyncDisposable {
  readonly #options: SourceOptions;
  readonly #client: MqttClient;
  readonly #acknowledged = new Map<string, Set<number>>();
  readonly #pending = new Set<Promise<void>>();
  #stop = new AbortController();
  #running: Promise<void> | undefined;
  #sent = 0;

  private constructor(options: SourceOptions, client: MqttClient) {
    this.#options = options;
    this.#client = client;
  }

  /** Connects to the broker; nothing is published before `start`. */
  static async open(options: SourceOptions): Promise<NumberedSource> {
    const client = await connectAsync({
      host: "127.0.0.1",
      port: options.port,
      clientId: "numbered-source",
      reconnectPeriod: 200,
    });
    // A broker that is away is no error of the source: what is not acknowledged is published again.
    client.on("error", () => client.reconnecting);
    return new NumberedSource(options, client);
  }

  /** Values the broker has acknowledged, by device. */
  get acknowledged(): ReadonlyMap<string, ReadonlySet<number>> {
    return this.#acknowledged;
  }

  /** Values published so far, acknowledged or not. */
  get sent(): number {
    return this.#sent;
  }

  /** Begins or goes on. */
  start(): void {
    if (this.#running === undefined) {
      this.#stop = new AbortController();
      this.#running = this.#run(this.#stop.signal);
    }
  }

  /** Publishes nothing more; resolves when all there is has been acknowledged by the broker. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error("the source stops"));
    await this.#running;
    this.#running = undefined;
    await Promise.all(this.#pending);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#client.endAsync();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const perMs = this.#options.valuesPerSecond / 1000;
    let lastMs = systemClock.monotonicMs();
    let due = 0;
    while (!signal.aborted) {
      const nowMs = systemClock.monotonicMs();
      due += Math.min(nowMs - lastMs, MAX_BURST_MS) * perMs;
      lastMs = nowMs;
      for (; due >= 1; due -= 1) {
        this.#publish();
      }
      await systemClock.sleep(TICK_MS, signal).catch(() => undefined);
    }
  }

  #publish(): void {
    const { devices, padding } = this.#options;
    const device = `dev-${this.#sent % devices}`;
    const seq = Math.floor(this.#sent / devices);
    this.#sent += 1;
    const payload = JSON.stringify({ seq, ...(padding === undefined ? {} : { padding }) });
    const publish = this.#client
      .publishAsync(`plant/${device}/data`, payload, { qos: 1 })
      .then(() => this.#acknowledge(device, seq))
      .finally(() => this.#pending.delete(publish));
    this.#pending.add(publish);
  }

  #acknowledge(device: string, seq: number): void {
    const seqs = this.#acknowledged.get(device) ?? new Set();
    seqs.add(seq);
    this.#acknowledged.set(device, seqs);
  }
}
