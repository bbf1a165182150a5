import type { ConnectorHost } from "#sdk/connector";
import { errorText, RejectedError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { isJsonObject } from "#sdk/model";
import type { DeviceList, FromThread, HostRequest, ToThread } from "./port.ts";
import type { PortQueue } from "./port-queue.ts";
import { acceptText } from "./thread-uplink.ts";
import { exactText, unpack, unpackValues } from "./wire.ts";

/** What a thread says to its host. */
type ForHost = Extract<
  FromThread,
  { readonly type: "try" | "counts" | "log" | "status" | "device-failed" }
>;

/** Does in the collection thread what a connector in its own thread wants of its host. */
export class HostServer implements Disposable {
  readonly #host: ConnectorHost;
  readonly #queue: PortQueue<ToThread>;
  readonly #life = new AbortController();
  readonly #subscription: Disposable;

  constructor(host: ConnectorHost, queue: PortQueue<ToThread>) {
    this.#host = host;
    this.#queue = queue;
    this.#subscription = host.platform.onChange((isConnected) =>
      queue.push({ type: "platform", isConnected }),
    );
  }

  /** Answers a question, as text. @throws what the host throws */
  async answer(request: HostRequest, signal: AbortSignal): Promise<string | undefined> {
    const { attributes, devices, gateway, uplink } = this.#host;
    switch (request.ask) {
      case "accept": {
        const data = request.data.map(unpack);
        return acceptText(await uplink.accept(data, signal, { urgent: request.urgent }));
      }
      case "connect":
        await devices.connect(request.deviceName, request.deviceType);
        return undefined;
      case "disconnect":
        await devices.disconnect(request.deviceName);
        return undefined;
      case "claim": {
        const { deviceName, secretKey, durationMs } = request;
        await devices.claim(deviceName, { secretKey, durationMs });
        return undefined;
      }
      case "attributes": {
        const { ask: _ask, deviceName, ...keys } = request;
        return exactText(await attributes.request(deviceName, keys, signal));
      }
      case "own-attributes":
        return acceptText(await gateway.attributes(unpackValues(request.values), signal));
      case "own-telemetry": {
        const [entry] = unpack({ deviceName: "", telemetry: [request] }).telemetry ?? [];
        const { ts, values = {} } = entry ?? {};
        const options = ts === undefined ? {} : { ts };
        return acceptText(await gateway.telemetry(values, signal, options));
      }
    }
  }

  /** Takes what needs no answer. @throws what the host throws */
  take(message: ForHost): void {
    const { devices, metrics } = this.#host;
    switch (message.type) {
      case "try":
        this.#store(message);
        break;
      case "counts":
        for (const [name, by] of message.counted) {
          metrics.count(name, by);
        }
        for (const [reason, count] of message.rejected) {
          metrics.rejected(reason, count);
        }
        break;
      case "log": {
        const fields = readJson(message.fields);
        this.#host[message.channel][message.level](
          message.message,
          isJsonObject(fields) ? fields : {},
        );
        break;
      }
      case "status":
        this.#host.setStatus(message.status, message.detail);
        break;
      case "device-failed":
        devices.failed(message.deviceName, message.error);
        break;
    }
  }

  /** The devices at this moment. */
  devices(): DeviceList {
    return [...this.#host.devices.list()];
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#life.abort();
  }

  /** What `tryAccept` has sent waits here until the store has it; the thread gets no more credit meanwhile. */
  #store({ data, values, chars }: Extract<FromThread, { readonly type: "try" }>): void {
    const { log, metrics, uplink } = this.#host;
    const storing = async (): Promise<void> => {
      await uplink.accept(unpack(data), this.#life.signal);
    };
    storing()
      .catch((error: unknown) => {
        if (!(error instanceof RejectedError)) {
          metrics.rejected("not-stored", values);
          log.error("Cannot store data of a source that does not wait", {
            error: errorText(error),
          });
        }
      })
      .finally(() => this.#queue.push({ type: "credit", records: 1, chars }))
      .catch(() => undefined); // The host is gone, and with it whoever is told.
  }
}
