import * as v from "valibot";
import { entries, field, required } from "#sdk/config";
import { type ConnectorSpec, defineConnector } from "#sdk/connector";
import { isJsonObject } from "#sdk/model";
import type { StandardSchema } from "#sdk/standard-schema";
import type { ConnectorTypes } from "../../src/config/connectors.ts";

const create: ConnectorSpec<StandardSchema>["create"] = () => {
  throw new Error("a configuration test starts no connector");
};

/** The connector file of the `bus` connector. */
export const busConfig = v.looseObject({
  broker: required(
    v.looseObject({
      host: required(v.string(), { doc: "Host.", reference: true, wizard: "Host of the bus" }),
      port: field(v.number(), 502, { doc: "Port.", reference: true }),
      password: field(v.string(), "", { doc: "Password.", secret: true, reference: true }),
    }),
    { doc: "Where the bus is." },
  ),
  devices: field(
    entries(
      v.looseObject({
        name: required(v.string(), { doc: "Name." }),
        period: field(v.number(), 1000, { doc: "Poll period.", unit: "ms" }),
      }),
    ),
    [],
    { doc: "What to read." },
  ),
});

const bus = defineConnector({
  type: "bus",
  schema: busConfig,
  create,
  upgrade: (json) => {
    if (!isJsonObject(json) || typeof json["server"] !== "string") {
      return json;
    }
    const { server, ...rest } = json;
    return { ...rest, broker: { host: server } };
  },
  explain: (config) =>
    config.devices.map(({ name }, index) => ({
      path: `devices[${index}]`,
      request: `read "${name}" from ${config.broker.host}`,
      sends: { deviceName: name, telemetry: [{ values: { value: 1 } }] },
    })),
});

function standard(validate: StandardSchema["~standard"]["validate"]): StandardSchema {
  return { "~standard": { version: 1, vendor: "test", validate } };
}

const lines = defineConnector({
  type: "lines",
  schema: standard((value) =>
    typeof value === "string"
      ? { value: value.trim().split("\n") }
      : { issues: [{ message: "must be text", path: ["broker", { key: "host" }] }] },
  ),
  create,
});

const slow = defineConnector({
  type: "slow",
  schema: standard((value) => Promise.resolve({ value })),
  create,
});

/** Small connectors for tests of configuration: a valibot schema with an old form, one for text, and one that is refused. */
export const testConnectors: ConnectorTypes = {
  bus: async () => ({ default: bus }),
  lines: async () => ({ default: lines }),
  slow: async () => ({ default: slow }),
};
