import { type Connector, type ConnectorHost, defineConnector } from "#sdk/connector";
import { type Logger, rateLimited } from "#sdk/logger";
import type { AttributeUpdate, Json, RpcRequest } from "#sdk/model";
import { type MqttConfig, mqttConfig, requestsOf } from "./config.ts";
import {
  callTimeoutMs,
  compileAttributeUpdates,
  compileRpc,
  compileSyncKeys,
  isTwoWay,
  planCall,
  replyFilter,
} from "./downlink.ts";
import { explainMappings } from "./explain.ts";
import { type Converted, createConverters } from "./extensions.ts";
import { upgradeConfig } from "./legacy.ts";
import { BrokerLink } from "./link.ts";
import { createMappings } from "./mappings.ts";
import { probeArgs, probeMqtt } from "./probe.ts";
import { Publisher } from "./publisher.ts";
import { RequestDesk } from "./request-desk.ts";
import { compileAttributeRequest, compileConnect } from "./requests.ts";
import type { AttributeUpdateConfig, RpcConfig } from "./requests-config.ts";
import { type Route, Routes, type Served } from "./routes.ts";
import { RpcCalls } from "./rpc-calls.ts";

export default defineConnector({
  type: "mqtt",
  schema: mqttConfig,
  upgrade: upgradeConfig,
  create: async (config, host) => {
    const mappings = await createMappings(config, host);
    const updates = await createConverters(requestsOf(config, "attributeUpdates"), host);
    const rpcs = await createConverters(requestsOf(config, "serverSideRpc"), host);
    return new MqttConnector(config, host, { mappings, updates, rpcs });
  },
  explain: (config) => explainMappings(config),
  probeArgs,
  probe: probeMqtt,
});

/** What has to be found before a connector can be made. */
interface Parts {
  readonly mappings: readonly Served[];
  readonly updates: Converted<AttributeUpdateConfig>;
  readonly rpcs: Converted<RpcConfig>;
}

class MqttConnector implements Connector {
  readonly #host: ConnectorHost;
  readonly #link: BrokerLink;
  readonly #publisher: Publisher;
  readonly #desk: RequestDesk;
  readonly #calls: RpcCalls;
  readonly #rareLog: Logger;
  readonly #planRpc: ReturnType<typeof compileRpc>;
  readonly #messagesOf: ReturnType<typeof compileAttributeUpdates>;
  readonly #syncKeys: ReturnType<typeof compileSyncKeys>;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(config: MqttConfig, host: ConnectorHost, { mappings, updates, rpcs }: Parts) {
    this.#host = host;
    this.#rareLog = rateLimited(host.log, host.clock);
    this.#publisher = new Publisher(host);
    this.#desk = new RequestDesk(host, this.#publisher);
    this.#messagesOf = compileAttributeUpdates(updates.entries, updates.converters);
    this.#syncKeys = compileSyncKeys(updates.entries);
    this.#planRpc = compileRpc(rpcs.entries, rpcs.converters);
    const served = [...mappings, ...requestRoutes(config, this.#desk), ...replyRoutes(config)];
    const routes = new Routes({
      routes: served.map(({ route }) => route),
      maxPayloadBytes: config.maxPayloadBytes,
      offerReply: (message) => this.#calls.offer(message),
      host,
    });
    const wanted = served.map((one) => one.wanted);
    const publisher = this.#publisher;
    this.#link = new BrokerLink({ broker: config.broker, host, routes, wanted, publisher });
    this.#calls = new RpcCalls(this.#link, host);
    adviseOnRpc(config, host);
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#running = this.#link.run(AbortSignal.any([signal, this.#stop.signal]));
    await this.#running;
  }

  async handleRpc(request: RpcRequest, signal: AbortSignal): Promise<Json | void> {
    return await this.#calls.call(request, this.#planRpc, signal);
  }

  async handleConnectorRpc(request: RpcRequest, signal: AbortSignal): Promise<Json | void> {
    // Templates name the method as the platform calls it.
    const named = { ...request, method: `${this.#host.type}_${request.method}` };
    return await this.#calls.call(named, planCall, signal);
  }

  rpcTimeoutMs(request: Pick<RpcRequest, "deviceName" | "method" | "params">): number | undefined {
    const planRpc = request.deviceName === undefined ? planCall : this.#planRpc;
    return callTimeoutMs(planRpc, request);
  }

  async handleAttributes(update: AttributeUpdate): Promise<void> {
    const messages = this.#messagesOf(update, (error) => {
      this.#host.metrics.count("badAttributeUpdates");
      const { deviceName } = update;
      this.#rareLog.warn("Attribute update cannot be sent", { deviceName, error });
    });
    for (const message of messages) {
      this.#publisher.put(message);
    }
    return await Promise.resolve();
  }

  sharedAttributeKeys(deviceName: string): readonly string[] | undefined {
    return this.#syncKeys(deviceName);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running?.catch(() => undefined);
    await this.#desk[Symbol.asyncDispose]();
  }
}

function requestRoutes(config: MqttConfig, desk: RequestDesk): readonly Served[] {
  const served: Served[] = [];
  for (const { path, entry } of requestsOf(config, "connectRequests")) {
    const read = compileConnect(entry);
    served.push(requestRoute(path, entry, (message) => desk.connect(message, read)));
  }
  for (const { path, entry } of requestsOf(config, "disconnectRequests")) {
    const read = compileConnect(entry);
    served.push(requestRoute(path, entry, (message) => desk.disconnect(message, read)));
  }
  for (const { path, entry } of requestsOf(config, "attributeRequests")) {
    const read = compileAttributeRequest(entry);
    served.push(requestRoute(path, entry, (message) => desk.ask(read(message))));
  }
  return served;
}

function requestRoute(
  path: string,
  entry: { readonly topicFilter: string; readonly subscriptionQos: 0 | 1 | 2 },
  handle: Extract<Route, { kind: "request" }>["handle"],
): Served {
  const { topicFilter: filter, subscriptionQos: qos } = entry;
  return { route: { kind: "request", path, filter, handle }, wanted: { filter, qos } };
}

/** One lasting subscription for the responses of each two-way entry, so that no call waits for one. */
function replyRoutes(config: MqttConfig): readonly Served[] {
  return requestsOf(config, "serverSideRpc").flatMap(({ path, entry }) => {
    const filter = replyFilter(entry);
    return filter === undefined
      ? []
      : {
          route: { kind: "reply" as const, path, filter },
          wanted: { filter, qos: entry.responseTopicQoS, optional: true },
        };
  });
}

function adviseOnRpc(config: MqttConfig, host: ConnectorHost): void {
  for (const { path, entry } of requestsOf(config, "serverSideRpc")) {
    if ((entry.responseTopicExpression ?? "") !== "" && !isTwoWay(entry)) {
      host.log.info("No response is awaited: responseTimeout is missing", { rpc: path });
    }
  }
}
