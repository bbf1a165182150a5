import * as v from "valibot";
import { field, optional } from "../../src/sdk/config.ts";
import { defineConnector } from "../../src/sdk/connector.ts";
import { epochMs } from "../../src/sdk/model.ts";

const START_MS = 1_700_000_000_000;

/** How far each device has counted, over all instances of a process. */
export const counted = new Map<string, number>();

/** A connector without a wire: one device whose key `n` counts on from where the last instance of it was. */
export const counterConnector = defineConnector({
  type: "counter",
  schema: v.looseObject({
    device: field(v.string(), "Counter", { doc: "Name of the device." }),
    everyMs: field(v.number(), 20, { doc: "Time between two values.", unit: "ms" }),
    password: optional(v.string(), { doc: "For nothing.", secret: true, reference: true }),
    fails: optional(v.picklist(["create", "run"]), { doc: "Where it fails." }),
  }),
  create: (config, host) => {
    if (config.fails === "create") {
      throw new Error("cannot be created");
    }
    return {
      run: async (signal) => {
        if (config.fails === "run") {
          throw new Error("cannot run");
        }
        await host.devices.connect(config.device, "counter");
        while (!signal.aborted) {
          const n = (counted.get(config.device) ?? 0) + 1;
          counted.set(config.device, n);
          await host.uplink.accept(
            {
              deviceName: config.device,
              deviceType: "counter",
              telemetry: [{ ts: epochMs(START_MS + n), values: { n } }],
            },
            signal,
            { urgent: true },
          );
          await host.clock.sleep(config.everyMs, signal).catch(() => undefined);
        }
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  },
});
