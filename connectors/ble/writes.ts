import type { ConnectorHost } from "#sdk/connector";
import { DataError, errorText, RejectedError } from "#sdk/errors";
import type { AttributeUpdate, Json } from "#sdk/model";
import type { DeviceConfig } from "./device-config.ts";
import { encodeValue } from "./downlink.ts";
import type { UpdateItem } from "./item-config.ts";
import type { PeripheralLink } from "./link.ts";
import { targetText } from "./target.ts";

/** Shared attributes of one device on their way to it: the newest value of each waits while there is no link. */
export class PendingWrites {
  readonly #config: Pick<DeviceConfig, "name" | "attributeUpdates">;
  readonly #host: Pick<ConnectorHost, "log" | "metrics" | "devices">;
  /** Bounded by the items of the configuration. */
  readonly #waiting = new Map<UpdateItem, Json>();

  constructor(
    config: Pick<DeviceConfig, "name" | "attributeUpdates">,
    host: Pick<ConnectorHost, "log" | "metrics" | "devices">,
  ) {
    this.#config = config;
    this.#host = host;
  }

  take(update: AttributeUpdate): void {
    for (const item of this.#config.attributeUpdates) {
      const value = update.values[item.attributeOnThingsBoard];
      if (value !== undefined) {
        this.#waiting.set(item, value);
      }
    }
  }

  /** Writes what waits. One that is refused is said and given up. @throws TransientError when the link ends: the rest stays */
  async flush(link: PeripheralLink, signal: AbortSignal): Promise<void> {
    for (const [item, value] of this.#waiting) {
      if (this.#waiting.get(item) !== value) {
        continue;
      }
      try {
        await this.#write(link, { item, value }, signal);
        this.#host.metrics.count("writes");
      } catch (error) {
        this.#host.metrics.count("writeErrors");
        if (!(error instanceof RejectedError || error instanceof DataError)) {
          throw error;
        }
        this.#host.log.warn("Cannot write a shared attribute to the peripheral", {
          device: this.#config.name,
          attribute: item.attributeOnThingsBoard,
          characteristic: targetText(item),
          error: errorText(error),
        });
      }
      if (this.#waiting.get(item) === value) {
        this.#waiting.delete(item);
      }
    }
  }

  async #write(
    link: PeripheralLink,
    { item, value }: { readonly item: UpdateItem; readonly value: Json },
    signal: AbortSignal,
  ): Promise<void> {
    await link.write(link.find(item), encodeValue(value, item.encoding), signal);
  }
}
