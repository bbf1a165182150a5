import { type Connector, type ConnectorHost, defineConnector } from "#sdk/connector";
import { ConfigError, DataError } from "#sdk/errors";
import type { AttributeUpdate, Json, RpcRequest } from "#sdk/model";
import { Outbox } from "#sdk/outbox";
import { runAll } from "#sdk/tasks";
import { Changes } from "./changes.ts";
import { type ModbusConfig, modbusConfig } from "./config.ts";
import { connectorRpc } from "./connector-rpc.ts";
import { budgetText, explainModbus } from "./explain.ts";
import { LearntRefusals } from "./learnt.ts";
import { upgradeConfig } from "./legacy.ts";
import { lineBudgets } from "./line-time.ts";
import { Master } from "./master.ts";
import { probeArgs, probeModbus } from "./probe.ts";
import { OwnServer, type ServerOptions } from "./server.ts";
import type { ServerConfig } from "./server-config.ts";

/** At the end: time for what was read already to become durable. */
const DRAIN_MS = 500;

export default defineConnector({
  type: "modbus",
  schema: modbusConfig,
  upgrade: upgradeConfig,
  create: async (config, host) => {
    const learnt = new LearntRefusals(host.dataDir, host);
    await learnt.load();
    const outbox = new Outbox(host);
    const { slaves } = config.master;
    const put = outbox.put.bind(outbox);
    const master = await Master.create({ slaves, host, learnt, put });
    adviseOnTime(config, host);
    const server =
      config.slave?.enabled === true ? makeServer(config, config.slave, { host, put }) : undefined;
    return new ModbusConnector({ host, outbox, master, server });
  },
  explain: explainModbus,
  probeArgs,
  probe: probeModbus,
});

/** @throws ConfigError for a first value that does not fit */
function makeServer(
  { name = "modbus" }: ModbusConfig,
  config: ServerConfig,
  context: Pick<ServerOptions, "host" | "put">,
): OwnServer {
  try {
    return new OwnServer({ config, ...context });
  } catch (error) {
    if (error instanceof DataError) {
      throw new ConfigError(name, [{ path: "slave.values", message: error.message }]);
    }
    throw error;
  }
}

/** A line on which more is asked for than it can carry. */
function adviseOnTime(config: ModbusConfig, host: ConnectorHost): void {
  // Other lines are as fast as the device, which nobody knows before.
  const serial = config.master.slaves.filter(({ type }) => type === "serial");
  for (const budget of lineBudgets(serial)) {
    if ((budget.utilisation ?? 0) > 1) {
      host.log.warn("A line cannot keep up with the periods asked for", {
        line: budgetText(budget),
      });
    }
  }
}

interface Parts {
  readonly host: ConnectorHost;
  readonly outbox: Outbox;
  readonly master: Master;
  readonly server: OwnServer | undefined;
}

class ModbusConnector implements Connector {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#running = this.#run(AbortSignal.any([signal, this.#stop.signal]));
    await this.#running;
  }

  async handleRpc(request: RpcRequest, signal: AbortSignal): Promise<Json> {
    const { master, server } = this.#parts;
    const device = master.devices.get(request.deviceName ?? "");
    if (device !== undefined) {
      return await device.rpc(request, signal);
    }
    return server !== undefined && request.deviceName === server.deviceName
      ? await server.rpc(request)
      : { result: { error: "Device not found" } };
  }

  async handleConnectorRpc(request: RpcRequest, signal: AbortSignal): Promise<Json> {
    const { master, host } = this.#parts;
    return await connectorRpc(request, { master, host }, signal);
  }

  async handleAttributes(update: AttributeUpdate, signal: AbortSignal): Promise<void> {
    const { master, server } = this.#parts;
    const device = master.devices.get(update.deviceName);
    if (device !== undefined) {
      await device.update(update, signal);
    } else if (server?.deviceName === update.deviceName) {
      server.update(update);
    }
  }

  sharedAttributeKeys(deviceName: string): readonly string[] | undefined {
    const { master, server } = this.#parts;
    const own = server?.deviceName === deviceName ? server.sharedKeys : [];
    const keys = master.devices.get(deviceName)?.sharedKeys ?? own;
    return keys.length === 0 ? undefined : keys;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the connector is disposed"));
    await this.#running?.catch(() => undefined);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { outbox, master, host, server } = this.#parts;
    if (master.devices.size === 0 && server === undefined) {
      host.log.warn("There is no device: nothing is read");
    }
    try {
      const tasks = [...master.tasks(), ...(server?.tasks() ?? [])];
      await runAll([...tasks, (stop) => this.#watchStatus(stop)], signal);
    } finally {
      await outbox.flush(DRAIN_MS);
      await outbox[Symbol.asyncDispose]();
      await Promise.all(master.units.map((unit) => unit.settled()));
    }
  }

  /** Tells the core about the lines, each time one of them changes. */
  async #watchStatus(signal: AbortSignal): Promise<void> {
    const { host, master } = this.#parts;
    const buses = [...master.buses.values()];
    const changes = new Changes();
    let said = "";
    const look = (): void => {
      const connected = buses.filter((bus) => bus.isConnected).length;
      const status =
        connected === buses.length ? "connected" : connected > 0 ? "degraded" : "disconnected";
      if (status !== said) {
        said = status;
        host.setStatus(status, `${connected} of ${buses.length} lines`);
      }
    };
    if (buses.length > 0) {
      host.setStatus("connecting");
    }
    const watch = (bus: (typeof buses)[number]) => async (stop: AbortSignal) => {
      for (;;) {
        await bus.changes.next(stop);
        look();
      }
    };
    if (buses.length === 0) {
      await changes.next(signal);
    }
    await runAll(buses.map(watch), signal);
  }
}
