import type { ConnectorHost } from "#sdk/connector";
import type { MqttMessage } from "#sdk/converter";
import { errorText } from "#sdk/errors";
import { type Logger, rateLimited } from "#sdk/logger";
import type { Publisher } from "./publisher.ts";
import type { AttributeRequest, ReadDevice } from "./requests.ts";

/** Attribute requests that are put to the platform at the same time, and those that may wait behind them. */
const MAX_ASKED = 32;
const MAX_QUEUED = 1000;

/** Carries out what devices ask for by messages: connect, disconnect, and attributes of the platform. */
export class RequestDesk implements AsyncDisposable {
  readonly #host: ConnectorHost;
  readonly #publisher: Publisher;
  readonly #rareLog: Logger;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #queue: AttributeRequest[] = [];
  #asked = 0;

  constructor(host: ConnectorHost, publisher: Publisher) {
    this.#host = host;
    this.#publisher = publisher;
    this.#rareLog = rateLimited(host.log, host.clock);
  }

  /** Announces the device of a message. It is remembered until its disconnect. @throws DataError */
  connect(message: MqttMessage, read: ReadDevice): void {
    const { deviceName, deviceType } = read(message);
    this.#start(this.#host.devices.connect(deviceName, deviceType));
  }

  /** Signs the device of a message off; one that nobody knows is left alone. @throws DataError */
  disconnect(message: MqttMessage, read: ReadDevice): void {
    const { deviceName } = read(message);
    if (!this.#host.devices.list().has(deviceName)) {
      this.#rareLog.info("A device that is not known wants to be disconnected", { deviceName });
      return;
    }
    this.#start(this.#host.devices.disconnect(deviceName));
  }

  /** Asks the platform, and hands the answer to the publisher; without an answer the device gets none. */
  ask(request: AttributeRequest): void {
    if (this.#asked < MAX_ASKED) {
      this.#start(this.#answer(request));
      return;
    }
    if (this.#queue.length >= MAX_QUEUED) {
      this.#host.metrics.count("droppedAttributeRequests");
      this.#rareLog.warn("Attribute request is dropped: too many wait for the platform", {
        deviceName: request.deviceName,
      });
      return;
    }
    this.#queue.push(request);
  }

  /** Gives up what is not answered. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#queue.length = 0;
    await Promise.all(this.#running);
  }

  async #answer(request: AttributeRequest): Promise<void> {
    const { signal } = this.#stop;
    this.#asked += 1;
    try {
      await this.#answerOne(request);
    } finally {
      this.#asked -= 1;
      const next = signal.aborted ? undefined : this.#queue.shift();
      if (next !== undefined) {
        this.#start(this.#answer(next));
      }
    }
  }

  async #answerOne({ deviceName, scope, keys, reply }: AttributeRequest): Promise<void> {
    const { attributes, metrics } = this.#host;
    metrics.count("attributeRequests");
    const wanted = scope === "shared" ? { shared: keys } : { client: keys };
    try {
      const found = await attributes.request(deviceName, wanted, this.#stop.signal);
      this.#publisher.put(reply(found[scope]));
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        metrics.count("unansweredAttributeRequests");
        this.#rareLog.warn("Attribute request is not answered", { deviceName, keys, error });
      }
    }
  }

  #start(work: Promise<void>): void {
    const running = work
      .catch((error: unknown) =>
        this.#rareLog.error("Cannot carry out a request of a device", { error: errorText(error) }),
      )
      .then(() => {
        this.#running.delete(running);
      });
    this.#running.add(running);
  }
}
