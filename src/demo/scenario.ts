import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import { ledgerImbalance, total } from "#sdk/ledger";
import { createLogger, type LogSink } from "#sdk/logger";
import { loadConfiguration } from "../config/load.ts";
import { connectorTypes } from "../connector/registry.ts";
import { Gateway } from "../service/gateway.ts";
import { gatewaySetup } from "../service/setup.ts";
import type { GatewayStatus } from "../service/status.ts";
import { DemoBroker } from "./broker.ts";
import { DEMO_MAPPINGS, DeviceSimulation } from "./devices.ts";
import { DemoModbusDevice, demoSlave } from "./modbus-device.ts";
import { ThingsBoardDouble } from "./thingsboard/server.ts";

/** What the demo needs of its surroundings. */
export interface DemoOptions {
  readonly clock: Clock;
  /** Gets the gateway's log lines. */
  readonly sink: LogSink;
  readonly onFailure: (error: Error) => void;
}

/** The last value of a key as the platform has it, in its literal JSON text. */
export interface PlatformValue {
  readonly device: string;
  readonly key: string;
  readonly text: string;
  readonly ts: number;
}

/** One look at the demo. */
export interface DemoFrame {
  readonly status: GatewayStatus;
  /** Whether the demo has cut the uplink at this moment. */
  readonly cut: boolean;
  readonly values: readonly PlatformValue[];
}

/** How the demo ended; `--json` prints it. */
export interface DemoSummary {
  readonly devices: number;
  readonly received: number;
  readonly stored: number;
  readonly acknowledged: number;
  readonly queued: number;
  readonly filtered: number;
  readonly rejected: number;
  readonly dropped: number;
  readonly uplinkConnected: boolean;
}

const TOKEN = "DEMO_GATEWAY_TOKEN";
/** Points the stand-in keeps of each series, so that a demo may run for days. */
const KEPT_POINTS = 100;
/** How long the end of the demo waits for the queue to drain. */
const DRAIN_MS = 15_000;
const LOOK_EVERY_MS = 50;

/**
 * Everything on one machine: the ThingsBoard stand-in, a broker with three simulated devices, one that speaks Modbus TCP, and a real
 * gateway with a real store between them, configured by files as a user would write them.
 */
export class Demo implements AsyncDisposable {
  readonly #options: DemoOptions;
  readonly #resources = new AsyncDisposableStack();
  readonly #platform: ThingsBoardDouble;
  readonly #gateway: Gateway;
  readonly #simulation: DeviceSimulation;
  #cut = false;

  private constructor(options: DemoOptions, parts: DemoParts) {
    this.#options = options;
    this.#resources = parts.resources;
    this.#platform = parts.platform;
    this.#gateway = parts.gateway;
    this.#simulation = parts.simulation;
  }

  /** Starts everything in a temporary folder on free ports of 127.0.0.1. */
  static async start(options: DemoOptions): Promise<Demo> {
    const { clock, sink, onFailure } = options;
    await using resources = new AsyncDisposableStack();
    const dir = await mkdtemp(join(tmpdir(), "tbgw-demo-"));
    resources.defer(() => rm(dir, { recursive: true, force: true }));
    const platform = resources.use(
      await ThingsBoardDouble.listen({ clock, retainSeries: KEPT_POINTS, keepTranscript: false }),
    );
    platform.createGateway("Demo gateway", { type: "ACCESS_TOKEN", token: TOKEN });
    const broker = resources.use(await DemoBroker.listen());
    const modbus = resources.use(await DemoModbusDevice.listen(clock));
    await writeConfiguration(dir, {
      platform: platform.port,
      broker: broker.port,
      modbus: modbus.port,
    });
    const configuration = await loadConfiguration({
      configDir: join(dir, "config"),
      dataDir: join(dir, "data"),
      env: {},
      cwd: dir,
      connectorTypes,
    });
    const setup = gatewaySetup(configuration, "info");
    const gateway = resources.use(await Gateway.start(setup, { clock, sink, onFailure }));
    const log = createLogger({ source: "demo", level: "warn", clock, sink });
    const simulation = resources.use(await DeviceSimulation.start(broker.port, clock, log));
    return new Demo(options, { resources: resources.move(), platform, gateway, simulation });
  }

  /** The state of everything, with the last values as the platform has them. */
  async frame(): Promise<DemoFrame> {
    const status = await this.#gateway.status();
    const values: PlatformValue[] = [];
    for (const device of this.#platform.devices()) {
      for (const key of this.#platform.keys(device)) {
        const point = this.#platform.latest(device, key);
        if (point !== undefined) {
          values.push({ device, key, text: point.text, ts: point.ts });
        }
      }
    }
    return { status, cut: this.#cut, values };
  }

  /** Takes the platform away: nobody listens, every session breaks. */
  async cutUplink(): Promise<void> {
    this.#cut = true;
    await this.#platform.down();
  }

  /** Brings it back on the same port, with all it knew. */
  async restoreUplink(): Promise<void> {
    await this.#platform.up();
    this.#cut = false;
  }

  /** Stops the devices, waits until the queue is empty, and adds up. */
  async finish(): Promise<DemoSummary> {
    if (this.#cut) {
      await this.restoreUplink();
    }
    await this.#simulation[Symbol.asyncDispose]();
    const { clock } = this.#options;
    const endMs = clock.monotonicMs() + DRAIN_MS;
    const never = new AbortController().signal;
    let status = await this.#gateway.status();
    while (!isSettled(status) && clock.monotonicMs() < endMs) {
      await clock.sleep(LOOK_EVERY_MS, never);
      status = await this.#gateway.status();
    }
    return summaryOf(status);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

interface DemoParts {
  readonly resources: AsyncDisposableStack;
  readonly platform: ThingsBoardDouble;
  readonly gateway: Gateway;
  readonly simulation: DeviceSimulation;
}

/** The ledger and the link in one line of numbers. */
export function summaryOf(status: GatewayStatus): DemoSummary {
  const { ledger } = status.store;
  return {
    devices: status.devices,
    received: ledger.received,
    stored: ledger.stored,
    acknowledged: ledger.acknowledged,
    queued: ledger.queued,
    filtered: total(ledger.filtered),
    rejected: total(ledger.rejected),
    dropped: total(ledger.dropped) + ledger.quarantined,
    uplinkConnected: status.link.state === "connected",
  };
}

/** The uplink is there, nothing waits, and every value is accounted for. */
function isSettled({ link, store }: GatewayStatus): boolean {
  const { intake, delivery } = ledgerImbalance(store.ledger);
  return link.state === "connected" && store.ledger.queued === 0 && intake === 0 && delivery === 0;
}

async function writeConfiguration(
  dir: string,
  ports: { readonly platform: number; readonly broker: number; readonly modbus: number },
): Promise<void> {
  const gateway = {
    thingsboard: {
      host: "127.0.0.1",
      port: ports.platform,
      security: { type: "accessToken", accessToken: TOKEN },
      // The ledger that is shown counts values of the devices alone.
      statistics: { enable: false },
    },
    storage: { type: "sqlite" },
    connectors: [
      { type: "mqtt", name: "Plant broker", configuration: "mqtt.json" },
      { type: "modbus", name: "Compressors", configuration: "modbus.json" },
    ],
    tbgw: { web: { enabled: false } },
  };
  const mqtt = {
    broker: {
      host: "127.0.0.1",
      port: ports.broker,
      version: 4,
      clientId: "tbgw-demo",
      cleanSession: false,
      security: { type: "anonymous" },
    },
    mapping: DEMO_MAPPINGS,
  };
  const config = join(dir, "config");
  await mkdir(config, { mode: 0o700 });
  await writeFile(join(config, "tb_gateway.json"), JSON.stringify(gateway, null, 2));
  await writeFile(join(config, "mqtt.json"), JSON.stringify(mqtt, null, 2));
  const modbus = { master: { slaves: [demoSlave(ports.modbus)] } };
  await writeFile(join(config, "modbus.json"), JSON.stringify(modbus, null, 2));
}
