import { formatPath } from "#sdk/config";
import { type Connector, type ConnectorHost, defineConnector } from "#sdk/connector";
import type { MqttMessage, UplinkConverter } from "#sdk/converter";
import { errorText } from "#sdk/errors";
import { type MqttConfig, mappingsOf, mqttConfig } from "./config.ts";
import { explainMappings } from "./explain.ts";
import { upgradeConfig } from "./legacy.ts";
import { BrokerLink } from "./link.ts";
import type { Mapping } from "./mapping-config.ts";
import { type Route, Routes } from "./routes.ts";
import { createUplink } from "./uplink.ts";

export default defineConnector({
  type: "mqtt",
  schema: mqttConfig,
  upgrade: upgradeConfig,
  create: async (config, host) => {
    const routes = await createRoutes(config, host);
    const wanted = routes.map(({ route, mapping }) => ({
      filter: route.filter,
      qos: mapping.subscriptionQos,
    }));
    const table = new Routes({
      routes: routes.map(({ route }) => route),
      maxPayloadBytes: config.maxPayloadBytes,
      host,
    });
    return new MqttConnector(
      new BrokerLink({ broker: config.broker, host, routes: table, wanted }),
    );
  },
  explain: (config) => explainMappings(config),
});

class MqttConnector implements Connector {
  readonly #link: BrokerLink;
  #running: Promise<void> | undefined;
  readonly #stop = new AbortController();

  constructor(link: BrokerLink) {
    this.#link = link;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#running = this.#link.run(AbortSignal.any([signal, this.#stop.signal]));
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running?.catch(() => undefined);
  }
}

/** The mappings at work. One whose extension cannot be used costs only itself. */
async function createRoutes(
  config: MqttConfig,
  host: ConnectorHost,
): Promise<readonly { readonly route: Route; readonly mapping: Mapping }[]> {
  const { key, list } = mappingsOf(config);
  const shared = new Map<string, Promise<UplinkConverter<MqttMessage>>>();
  const routes: { readonly route: Route; readonly mapping: Mapping }[] = [];
  for (const [index, mapping] of list.entries()) {
    const path = formatPath([key, index]);
    try {
      routes.push({ route: await createRoute(mapping, { path, host, shared }), mapping });
    } catch (error) {
      host.log.error("Mapping is switched off", { mapping: path, error: errorText(error) });
    }
  }
  if (routes.length === 0) {
    host.log.warn("There is no mapping: nothing is read from the broker");
  }
  return routes;
}

async function createRoute(
  mapping: Mapping,
  context: {
    readonly path: string;
    readonly host: ConnectorHost;
    readonly shared: Map<string, Promise<UplinkConverter<MqttMessage>>>;
  },
): Promise<Route> {
  const { path, host, shared } = context;
  const { topicFilter: filter, converter } = mapping;
  if (converter.type !== "custom") {
    return { path, filter, convert: createUplink({ ...mapping, converter }), counts: false };
  }
  const { extension, sharedGlobal, sharedId } = converter;
  const sharing = sharedGlobal ? `extension ${extension}` : sharedId && `id ${sharedId}`;
  const known = sharing === undefined ? undefined : shared.get(sharing);
  const created = known ?? host.converters.uplink<MqttMessage>(extension, mapping);
  if (sharing !== undefined) {
    shared.set(sharing, created);
  }
  const convert = await created;
  return { path, filter, convert: (message) => convert(message), counts: true };
}
