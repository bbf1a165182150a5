import * as v from "valibot";
import { entries, field, formatPath, optional, required } from "#sdk/config";
import { indexInFile } from "#sdk/config-places";
import { connectorFields } from "#sdk/connector-fields";
import { brokerConfig, wholeNumber } from "./broker-config.ts";
import { type Mapping, mapping } from "./mapping-config.ts";
import { type Requests, requestFields, requestsMapping } from "./requests-config.ts";

/** The connector file of an MQTT connector. */
export const mqttConfig = v.looseObject({
  ...connectorFields,
  sendDataOnlyOnChange: optional(v.unknown(), {
    doc: 'Older switch: `true` stands for `reportStrategy: {"type": "ON_CHANGE"}`.',
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

/** The lists of requests. */
export type RequestKey = keyof typeof requestFields;

/** One element of a list of requests, with its path in the file. */
export interface RequestEntry<Entry> {
  readonly path: string;
  readonly entry: Entry;
}

/** The requests of one kind: those at the root of the file, as older files have them, then those in `requestsMapping`. */
export function requestsOf<Key extends RequestKey>(
  config: Pick<MqttConfig, Key | "requestsMapping">,
  key: Key,
): readonly RequestEntry<Requests[Key][number]>[] {
  const atRoot: Requests[Key] = config[key];
  const nested: Requests[Key] = config.requestsMapping[key];
  return [
    ...atRoot.map((entry, index) => ({
      path: formatPath([key, indexInFile(atRoot, index)]),
      entry,
    })),
    ...nested.map((entry, index) => ({
      path: formatPath(["requestsMapping", key, indexInFile(nested, index)]),
      entry,
    })),
  ];
}
