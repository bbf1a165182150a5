import { type Connector, type ConnectorHost, defineConnector } from "#sdk/connector";
import type { OpcUaRead, UplinkConverter } from "#sdk/converter";
import type { AttributeUpdate, Json, RpcRequest } from "#sdk/model";
import { Commands } from "./commands.ts";
import { type OpcuaConfig, opcuaConfig } from "./config.ts";
import type { Device } from "./device.ts";
import { explainOpcua } from "./explain.ts";
import { Intake } from "./intake.ts";
import { upgradeConfig } from "./legacy.ts";
import { ServerLink } from "./link.ts";
import { compileMappings, type Mapping } from "./mappings.ts";
import { probeArgs, probeOpcua } from "./probe.ts";
import { Said } from "./said.ts";
import { Scanner } from "./scan.ts";

export default defineConnector({
  type: "opcua",
  schema: opcuaConfig,
  upgrade: upgradeConfig,
  explain: explainOpcua,
  probeArgs,
  probe: probeOpcua,
  create: async (config, host) => {
    const mappings = compileMappings(config.mapping);
    const converters = await convertersOf(mappings, host);
    return new OpcuaConnector({ config, host, mappings, converters });
  },
});

interface Parts {
  readonly config: OpcuaConfig;
  readonly host: ConnectorHost;
  readonly mappings: readonly Mapping[];
  readonly converters: ReadonlyMap<Mapping, UplinkConverter<OpcUaRead>>;
}

class OpcuaConnector implements Connector {
  readonly #link: ServerLink;
  readonly #intake: Intake;
  readonly #commands: Commands;
  /** By name; those whose nodes are there. */
  readonly #devices = new Map<string, Device>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor({ config, host, mappings, converters }: Parts) {
    const { server } = config;
    const devices = this.#devices;
    const said = new Said();
    const format = { python: server.pythonValueFormat };
    const intake = new Intake(server, host);
    this.#intake = intake;
    this.#commands = new Commands({ host, devices, format });
    const scanner = new Scanner({
      host,
      intake,
      mappings,
      converters,
      devices,
      said,
      showMap: server.showMap,
    });
    const commands = this.#commands;
    this.#link = new ServerLink({ server, host, scanner, intake, commands, devices, said });
    if (mappings.length === 0) {
      host.log.warn("There is no mapping: nothing is read");
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#running = this.#run(AbortSignal.any([signal, this.#stop.signal]));
    await this.#running;
  }

  async handleRpc(request: RpcRequest, signal: AbortSignal): Promise<Json> {
    return await this.#commands.rpc(request, signal);
  }

  rpcTimeoutMs({
    deviceName,
    method,
  }: Pick<RpcRequest, "deviceName" | "method">): number | undefined {
    return this.#commands.timeoutOf(deviceName, method);
  }

  async handleConnectorRpc(request: RpcRequest, signal: AbortSignal): Promise<Json> {
    return await this.#commands.connectorRpc(request, signal);
  }

  async handleAttributes(update: AttributeUpdate, signal: AbortSignal): Promise<void> {
    await this.#commands.update(update, signal);
  }

  sharedAttributeKeys(deviceName: string): readonly string[] | undefined {
    const keys = this.#devices.get(deviceName)?.mapping.updates.map(({ key }) => key) ?? [];
    return keys.length === 0 ? undefined : [...new Set(keys)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the connector is disposed"));
    await this.#running?.catch(() => undefined);
    await this.#intake[Symbol.asyncDispose]();
  }

  async #run(signal: AbortSignal): Promise<void> {
    await using _intake = this.#intake;
    await this.#link.run(signal);
  }
}

/** The converters of extensions; one that cannot be used is said, and the values go up as they are. */
async function convertersOf(
  mappings: readonly Mapping[],
  host: ConnectorHost,
): Promise<ReadonlyMap<Mapping, UplinkConverter<OpcUaRead>>> {
  const converters = new Map<Mapping, UplinkConverter<OpcUaRead>>();
  for (const mapping of mappings) {
    if (mapping.converter !== undefined) {
      try {
        const convert = await host.converters.uplink<OpcUaRead>(mapping.converter, mapping.config);
        converters.set(mapping, convert);
      } catch (error) {
        host.log.error("A converter cannot be used; the built-in one takes its place", {
          mapping: mapping.path,
          error,
        });
      }
    }
  }
  return converters;
}
