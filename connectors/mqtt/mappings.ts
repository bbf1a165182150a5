import { formatPath } from "#sdk/config";
import { indexInFile } from "#sdk/config-places";
import type { ConnectorHost } from "#sdk/connector";
import type { MqttMessage, UplinkConverter } from "#sdk/converter";
import { errorText } from "#sdk/errors";
import { toReportStrategy } from "#sdk/report-strategy";
import { type MqttConfig, mappingsOf } from "./config.ts";
import type { Mapping } from "./mapping-config.ts";
import type { MappingRoute, Served } from "./routes.ts";
import { createUplink } from "./uplink.ts";

/** Converters that several mappings share, by what they share. */
type SharedConverters = Map<string, Promise<UplinkConverter<MqttMessage>>>;

/** The mappings at work, each with its subscription. One whose extension cannot be used costs only itself. */
export async function createMappings(
  config: MqttConfig,
  host: ConnectorHost,
): Promise<readonly Served[]> {
  const { key, list } = mappingsOf(config);
  const shared: SharedConverters = new Map();
  const mappings: Served[] = [];
  for (const [index, mapping] of list.entries()) {
    const path = formatPath([key, indexInFile(list, index)]);
    try {
      const route = await createRoute(mapping, { path, host, shared });
      mappings.push({ route, wanted: { filter: route.filter, qos: mapping.subscriptionQos } });
    } catch (error) {
      host.log.error("Mapping is switched off", { mapping: path, error: errorText(error) });
    }
  }
  if (mappings.length === 0) {
    host.log.warn("There is no mapping: no data is read from the broker");
  }
  return mappings;
}

async function createRoute(
  mapping: Mapping,
  context: {
    readonly path: string;
    readonly host: ConnectorHost;
    readonly shared: SharedConverters;
  },
): Promise<MappingRoute> {
  const { path, host, shared } = context;
  const { topicFilter: filter, converter } = mapping;
  const kind = "mapping" as const;
  if (converter.type !== "custom") {
    return { kind, path, filter, convert: createUplink({ ...mapping, converter }), counts: false };
  }
  const { extension, sharedGlobal, sharedId } = converter;
  const sharing = sharedGlobal ? `extension ${extension}` : sharedId && `id ${sharedId}`;
  const known = sharing === undefined ? undefined : shared.get(sharing);
  const created = known ?? host.converters.uplink<MqttMessage>(extension, mapping);
  if (sharing !== undefined) {
    shared.set(sharing, created);
  }
  const convert = await created;
  const strategy = toReportStrategy(mapping.reportStrategy);
  // What the extension says itself goes before.
  const convertOne: MappingRoute["convert"] = (message) =>
    strategy === undefined
      ? convert(message)
      : convert(message).map((record) => ({ strategy, ...record }));
  return { kind, path, filter, convert: convertOne, counts: true };
}
