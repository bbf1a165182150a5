import * as v from "valibot";
import { entries, field, optional, required } from "#sdk/config";
import { brokerConfig, wholeNumber } from "./broker-config.ts";
import { type Mapping, mapping } from "./mapping-config.ts";
import { requestFields, requestsMapping } from "./requests-config.ts";

const rootStrategyType = v.pipe(
  v.string(),
  v.toUpperCase(),
  v.picklist([
    "ON_RECEIVED",
    "ON_CHANGE",
    "ON_REPORT_PERIOD",
    "ON_CHANGE_OR_REPORT_PERIOD",
    "DISABLED",
  ]),
);

const rootStrategy = v.looseObject({
  type: optional(rootStrategyType, {
    doc: "When a value goes up. Default: the gateway's strategy.",
  }),
  reportPeriod: optional(wholeNumber(1, Number.MAX_SAFE_INTEGER), {
    doc: "Time between two reports of a key. Default: the gateway's.",
    unit: "ms",
  }),
  ttl: optional(wholeNumber(0, Number.MAX_SAFE_INTEGER), {
    doc: "How long the last value is remembered without a change. Default: the gateway's.",
    unit: "s",
  }),
});

/** The connector file of an MQTT connector. */
export const mqttConfig = v.looseObject({
  name: optional(v.string(), { doc: "Given by the entry in `tb_gateway.json`." }),
  id: optional(v.string(), { doc: "Identifies the connector. Default: made from type and name." }),
  logLevel: field(v.string(), "INFO", { doc: "Least important lines to log." }),
  enableRemoteLogging: field(v.boolean(), false, { doc: "Send the log to the platform." }),
  configVersion: optional(v.unknown(), { doc: "Written by the platform.", ignored: true }),
  reportStrategy: optional(rootStrategy, { doc: "When values of this connector go up." }),
  sendDataOnlyOnChange: optional(v.unknown(), {
    doc: 'Without effect; use `reportStrategy: {"type": "ON_CHANGE"}`.',
    ignored: true,
  }),
  broker: required(brokerConfig, { doc: "The broker the devices talk to." }),
  maxPayloadBytes: field(wholeNumber(1, 268_435_455), 262_144, {
    doc: "A larger message is rejected and counted.",
    unit: "bytes",
  }),
  mapping: field(entries(mapping), [], { doc: "Which messages become which values." }),
  dataMapping: field(entries(mapping), [], {
    doc: "Older name of `mapping`, read when that is missing or empty.",
  }),
  requestsMapping: field(requestsMapping, {}, { doc: "Requests between devices and platform." }),
  ...requestFields,
});

/** The file as `create` gets it. */
export type MqttConfig = v.InferOutput<typeof mqttConfig>;

/** The mappings in force, with the key of the file they stand under. */
export function mappingsOf(config: MqttConfig): {
  readonly key: "mapping" | "dataMapping";
  readonly list: readonly Mapping[];
} {
  return config.mapping.length > 0
    ? { key: "mapping", list: config.mapping }
    : { key: "dataMapping", list: config.dataMapping };
}
