import { type Connector, type ConnectorHost, defineConnector } from "#sdk/connector";
import type { AttributeUpdate, Json, RpcRequest } from "#sdk/model";
import { Outbox } from "#sdk/outbox";
import { Changes } from "./changes.ts";
import { type ModbusConfig, modbusConfig } from "./config.ts";
import { connectorRpc } from "./connector-rpc.ts";
import { budgetText, explainModbus } from "./explain.ts";
import { LearntRefusals } from "./learnt.ts";
import { upgradeConfig } from "./legacy.ts";
import { lineBudgets } from "./line-time.ts";
import { Master } from "./master.ts";
import { runAll } from "./tasks.ts";

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
    return new ModbusConnector({ host, outbox, master });
  },
  explain: explainModbus,
});

/** A line on which more is asked for than it can carry. */
function adviseOnTime(config: ModbusConfig, host: ConnectorHost): void {
  for (const budget of lineBudgets(config.master.slaves)) {
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
    const device = this.#parts.master.devices.get(request.deviceName ?? "");
    return device === undefined
      ? { result: { error: "Device not found" } }
      : await device.rpc(request, signal);
  }

  async handleConnectorRpc(request: RpcRequest, signal: AbortSignal): Promise<Json> {
    const { master, host } = this.#parts;
    return await connectorRpc(request, { master, host }, signal);
  }

  async handleAttributes(update: AttributeUpdate, signal: AbortSignal): Promise<void> {
    await this.#parts.master.devices.get(update.deviceName)?.update(update, signal);
  }

  sharedAttributeKeys(deviceName: string): readonly string[] | undefined {
    const keys = this.#parts.master.devices.get(deviceName)?.sharedKeys ?? [];
    return keys.length === 0 ? undefined : keys;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the connector is disposed"));
    await this.#running?.catch(() => undefined);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { outbox, master, host } = this.#parts;
    if (master.devices.size === 0) {
      host.log.warn("There is no device: nothing is read");
    }
    try {
      await runAll([...master.tasks(), (stop) => this.#watchStatus(stop)], signal);
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
