import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import { ledgerImbalance, total } from "#sdk/ledger";
import { createLogger, type LogSink } from "#sdk/logger";
import { type LoadedConfiguration, loadConfiguration } from "../config/load.ts";
import type { Overlay } from "../config/text-file.ts";
import { connectorTypes } from "../connector/registry.ts";
import { Gateway } from "../service/gateway.ts";
import type { GatewaySetup } from "../service/gateway-setup.ts";
import { gatewaySetup } from "../service/setup.ts";
import type { GatewayStatus } from "../service/status.ts";
import { DemoBroker } from "./broker.ts";
import { DEMO_TOKEN, writeConfiguration } from "./configuration.ts";
import { DeviceSimulation, SIMULATED_DEVICES } from "./devices.ts";
import { COMPRESSOR, DemoModbusDevice } from "./modbus-device.ts";
import { LatePress } from "./opcua/late-press.ts";
import { PRESS } from "./opcua/press.ts";
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
  /** The last value of each key of each device, in the literal JSON text that the platform has. */
  readonly values: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Points the stand-in keeps of each series, so that a demo may run for days. */
const KEPT_POINTS = 100;
/** How long the end of a demo waits for its slowest device: an emulated processor needs a minute for two keys and an OPC UA server. */
const DEVICES_MS = 90_000;
/** And for the queue to drain. */
const DRAIN_MS = 30_000;
const LOOK_EVERY_MS = 50;

/**
 * Everything on one machine: the ThingsBoard stand-in, a broker with three simulated devices, one that speaks Modbus TCP, one that is an
 * OPC UA server, and a real gateway with a real store between them, configured by files as a user would write them.
 */
export class Demo implements AsyncDisposable {
  readonly #options: DemoOptions;
  readonly #resources = new AsyncDisposableStack();
  readonly #platform: ThingsBoardDouble;
  readonly #gateway: Gateway;
  readonly #simulation: DeviceSimulation;
  readonly #press: LatePress;
  #cut = false;

  private constructor(options: DemoOptions, parts: DemoParts) {
    this.#options = options;
    this.#resources = parts.resources;
    this.#platform = parts.platform;
    this.#gateway = parts.gateway;
    this.#simulation = parts.simulation;
    this.#press = parts.press;
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
    platform.createGateway("Demo gateway", { type: "ACCESS_TOKEN", token: DEMO_TOKEN });
    const broker = resources.use(await DemoBroker.listen());
    const modbus = resources.use(await DemoModbusDevice.listen(clock));
    const log = createLogger({ source: "demo", level: "warn", clock, sink });
    const press = resources.use(new LatePress(clock, log));
    const config = join(dir, "config");
    const at = { platform: platform.port, broker: broker.port, modbus: modbus.port };
    await writeConfiguration(config, at);
    const setup = await demoSetup(dir, config);
    const gateway = resources.use(await Gateway.start(setup, { clock, sink, onFailure }));
    const simulation = resources.use(await DeviceSimulation.start(broker.port, clock, log));
    press.begin((opcua) => writeConfiguration(config, { ...at, opcua }));
    return new Demo(options, { resources: resources.move(), platform, gateway, simulation, press });
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

  /** Waits until each device has been seen, stops them, waits until the queue is empty, and adds up. */
  async finish(): Promise<DemoSummary> {
    if (this.#cut) {
      await this.restoreUplink();
    }
    const names = [...SIMULATED_DEVICES.map(({ name }) => name), COMPRESSOR];
    if (await this.#press.isThere()) {
      names.push(PRESS);
    }
    await this.#until(DEVICES_MS, ({ values }) =>
      names.every((name) => values.some(({ device }) => device === name)),
    );
    await this.#simulation[Symbol.asyncDispose]();
    await this.#press.halt();
    return summaryOf(await this.#until(DRAIN_MS, ({ status }) => isSettled(status)));
  }

  /** The first look at which `isOver`, or the last one when that does not come. */
  async #until(patienceMs: number, isOver: (frame: DemoFrame) => boolean): Promise<DemoFrame> {
    const { clock } = this.#options;
    const endMs = clock.monotonicMs() + patienceMs;
    const never = new AbortController().signal;
    let frame = await this.frame();
    while (!isOver(frame) && clock.monotonicMs() < endMs) {
      await clock.sleep(LOOK_EVERY_MS, never);
      frame = await this.frame();
    }
    return frame;
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
  readonly press: LatePress;
}

/** The gateway as its files have it, which it watches. */
async function demoSetup(dir: string, configDir: string): Promise<GatewaySetup> {
  const place = { configDir, dataDir: join(dir, "data"), env: {}, cwd: dir, connectorTypes };
  const load = (overlay?: Overlay): Promise<LoadedConfiguration> =>
    loadConfiguration({ ...place, overlay });
  const setup = (loaded: LoadedConfiguration): GatewaySetup => gatewaySetup(loaded, "info");
  const loaded = await load();
  return { ...setup(loaded), files: { loaded, load, setup } };
}

/** The ledger and the link in one line of numbers. */
export function summaryOf({ status, values }: DemoFrame): DemoSummary {
  const { ledger } = status.store;
  const byDevice = Map.groupBy(values, ({ device }) => device);
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
    values: Object.fromEntries(
      [...byDevice].map(([device, points]) => [
        device,
        Object.fromEntries(points.map(({ key, text }) => [key, text])),
      ]),
    ),
  };
}

/** The uplink is there, nothing waits, and every value is accounted for. */
function isSettled({ link, store }: GatewayStatus): boolean {
  const { intake, delivery } = ledgerImbalance(store.ledger);
  return link.state === "connected" && store.ledger.queued === 0 && intake === 0 && delivery === 0;
}
