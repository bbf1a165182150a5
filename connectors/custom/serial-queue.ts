import { type ConnectorHost, type DeviceData, Outbox } from "tbgw/sdk";

/** Records handed on at once. */
const BATCH = 500;

/** Records between the ports, which cannot wait, and the event store. Bounded: what is too much is dropped and counted. */
export class SerialQueue {
  readonly #host: ConnectorHost;
  readonly #limit: number;
  readonly #waiting: DeviceData[] = [];
  #news = Promise.withResolvers<void>();

  constructor(host: ConnectorHost, limit: number) {
    this.#host = host;
    this.#limit = limit;
  }

  /** Takes records; never waits. */
  put(records: readonly DeviceData[]): void {
    for (const record of records) {
      if (this.#waiting.length < this.#limit) {
        this.#waiting.push(record);
      } else {
        this.#host.metrics.rejected("queue-full", valuesIn(record));
      }
    }
    this.#news.resolve();
  }

  /** Hands on what is put, until `signal` aborts; then the rest, within 1 s. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#news.resolve();
    signal.addEventListener("abort", stop, { once: true });
    await using outbox = new Outbox(this.#host);
    while (!signal.aborted) {
      await this.#news.promise;
      this.#news = Promise.withResolvers<void>();
      while (this.#waiting.length > 0 && !signal.aborted) {
        await outbox.put(this.#waiting.splice(0, BATCH), signal);
      }
    }
    await outbox.flush(1000);
  }
}

function valuesIn({ telemetry = [], attributes = {} }: DeviceData): number {
  const inTelemetry = telemetry.reduce((sum, { values }) => sum + Object.keys(values).length, 0);
  return inTelemetry + Object.keys(attributes).length;
}
