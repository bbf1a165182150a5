import { type DataError, errorText, RejectedError } from "#sdk/errors";
import type { DeviceData } from "#sdk/model";
import type { DeviceHost } from "./counters.ts";
import type { BoundItem, DeviceUplink, Reading } from "./uplink.ts";

/** The way of one device's values up; what cannot be converted or taken is counted. */
export class DeviceSink {
  readonly #name: string;
  readonly #host: DeviceHost;
  readonly #uplink: DeviceUplink;

  constructor(
    name: string,
    { host, uplink }: { readonly host: DeviceHost; readonly uplink: DeviceUplink },
  ) {
    this.#name = name;
    this.#host = host;
    this.#uplink = uplink;
  }

  /** Records of what came just now. */
  records(readings: readonly Reading[]): readonly DeviceData[] {
    return this.#uplink.records(readings, this.#host.clock.now(), this.#onBad);
  }

  /** For what comes by itself and cannot be held up. */
  offer(readings: readonly Reading[]): void {
    for (const record of this.records(readings)) {
      try {
        if (this.#host.uplink.tryAccept(record).status === "overflow") {
          this.#host.metrics.count("dropped");
        }
      } catch (error) {
        if (!(error instanceof RejectedError)) {
          throw error;
        }
        // The core has counted it.
        const fields = { device: this.#name, error: errorText(error) };
        this.#host.converterLog.debug("A record is refused", fields);
      }
    }
  }

  readonly #onBad = (item: BoundItem, error: DataError): void => {
    this.#host.metrics.rejected(error.reason);
    this.#host.converterLog.debug("A value cannot be converted", {
      device: this.#name,
      key: item.key,
      error: errorText(error),
    });
  };
}
