import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ConnectorTypes } from "../../src/config/connectors.ts";
import { type LoadedConfiguration, loadConfiguration } from "../../src/config/load.ts";
import type { Overlay } from "../../src/config/text-file.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { type Clock, systemClock } from "../../src/sdk/clock.ts";
import type { LogRecord } from "../../src/sdk/logger.ts";
import type { Json, Values } from "../../src/sdk/model.ts";
import { Gateway } from "../../src/service/gateway.ts";
import { gatewaySetup } from "../../src/service/setup.ts";
import { ConfigFiles } from "./config-files.ts";
import { counterConnector } from "./counter-connector.ts";
import { until } from "./until.ts";

/** The connector types of the rig. */
export const RIG_TYPES: ConnectorTypes = {
  counter: () => Promise.resolve({ default: counterConnector }),
};

/** What a rig may have otherwise. */
export interface RemoteRigOptions {
  readonly files?: Readonly<Record<string, unknown>>;
  readonly thingsboard?: object;
  /** Further sections of the main file, and other connectors than the one of the rig. */
  readonly main?: object;
  readonly env?: Readonly<Record<string, string>>;
  readonly trialMs?: number;
  readonly fallbackAfterMs?: number;
  readonly clock?: Clock;
  /** Shared attributes that are there before the gateway. */
  readonly shared?: Values;
}

/** A gateway made from files, as `tbgw run` makes it, with a platform that configures it. */
export class RemoteRig implements AsyncDisposable {
  readonly server: ThingsBoardDouble;
  readonly config: ConfigFiles;
  readonly data = new ConfigFiles();
  readonly log: LogRecord[] = [];
  readonly #options: RemoteRigOptions;
  #gateway: Gateway | undefined;

  private constructor(server: ThingsBoardDouble, options: RemoteRigOptions) {
    this.server = server;
    this.#options = options;
    this.config = new ConfigFiles({
      "tb_gateway.json": {
        thingsboard: {
          host: "127.0.0.1",
          port: server.port,
          remoteConfiguration: true,
          security: { type: "accessToken", accessToken: "gw-token" },
          ...options.thingsboard,
        },
        storage: { type: "sqlite" },
        connectors: [{ type: "counter", name: "Line 1", configuration: "line1.json" }],
        tbgw: { allowReboot: false, web: { enabled: false } },
        ownKey: { kept: true },
        ...options.main,
      },
      "line1.json": { device: "Counter", everyMs: 20 },
      ...options.files,
    });
  }

  static async open(options: RemoteRigOptions = {}): Promise<RemoteRig> {
    const server = await platform();
    if (options.shared !== undefined) {
      server.setShared("GW", options.shared);
    }
    const rig = new RemoteRig(server, options);
    await rig.start();
    return rig;
  }

  get gateway(): Gateway {
    if (this.#gateway === undefined) {
      throw new Error("The gateway does not run");
    }
    return this.#gateway;
  }

  /** Starts the gateway from the files as they are. */
  async start(): Promise<void> {
    const load = (overlay?: Overlay): Promise<LoadedConfiguration> =>
      loadConfiguration({
        configDir: this.config.path,
        dataDir: this.data.path,
        env: this.#options.env ?? {},
        cwd: this.config.path,
        connectorTypes: RIG_TYPES,
        overlay,
      });
    const setup = (loaded: LoadedConfiguration) => gatewaySetup(loaded, "info");
    const loaded = await load();
    const { trialMs, fallbackAfterMs, clock = systemClock } = this.#options;
    this.#gateway = await Gateway.start(
      { ...setup(loaded), files: { loaded, load, setup, trialMs, fallbackAfterMs } },
      {
        clock,
        sink: (record) => this.log.push(record),
        onFailure: (error) => {
          throw error;
        },
      },
    );
  }

  async stop(): Promise<void> {
    await this.#gateway?.stop();
    this.#gateway = undefined;
  }

  /** What the platform sets. */
  push(values: Values): void {
    this.server.setShared("GW", values);
  }

  /** A client attribute, as the platform has it. */
  client(name: string): unknown {
    return clientOf(this.server, name);
  }

  /** Waits until a client attribute has this `ts`, and resolves with it. */
  async acknowledged(name: string, ts: number): Promise<Readonly<Record<string, unknown>>> {
    await until(`${name} is acknowledged`, () => recordOf(this.client(name))["ts"] === ts);
    return recordOf(this.client(name));
  }

  /** Waits until a push was refused, and resolves with the reason. */
  async refused(name: string): Promise<string> {
    await until(`${name} is refused`, () => name in recordOf(this.client("configuration_errors")));
    return String(recordOf(this.client("configuration_errors"))[name]);
  }

  /** Waits until the gateway has published its configuration. */
  async published(): Promise<void> {
    await until(
      "the configuration is published",
      () => this.client("active_connectors") !== undefined,
    );
  }

  /** A file of the configuration, parsed. */
  file(name: string): Readonly<Record<string, unknown>> {
    return recordOf(JSON.parse(readFileSync(join(this.config.path, name), "utf8")));
  }

  hasFile(name: string): boolean {
    return existsSync(join(this.config.path, name));
  }

  /** The connectors that run, by name. */
  async running(): Promise<readonly string[]> {
    const { connectors } = await this.gateway.status();
    return connectors.filter(({ state }) => state === "running").map(({ name }) => name);
  }

  /** Waits until values arrive that are newer than at this moment. */
  async flows(device = "Counter", server = this.server): Promise<void> {
    const before = server.valueCount(device, "n");
    await until(`data of ${device} flows`, () => server.valueCount(device, "n") > before + 3);
  }

  /** Messages of the log, of one level. */
  messages(level?: LogRecord["level"]): readonly string[] {
    return this.log
      .filter((record) => level === undefined || record.level === level)
      .map(({ message }) => message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.server[Symbol.asyncDispose]();
    this.config[Symbol.dispose]();
    this.data[Symbol.dispose]();
  }
}

/** A platform with the gateway device of the rig. */
export async function platform(): Promise<ThingsBoardDouble> {
  const server = await ThingsBoardDouble.listen({ clock: systemClock, keepTranscript: false });
  server.createGateway("GW", "gw-token");
  return server;
}

/** A client attribute of the gateway device. */
export function clientOf(server: ThingsBoardDouble, name: string): unknown {
  const found = server.getClient("GW")[name];
  return found?.type === "JSON" ? JSON.parse(found.text) : found?.value;
}

/** An object, or one without keys. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord ? Object.fromEntries(Object.entries(value)) : {};
}

/** The value as JSON, for a push. */
export function json(value: unknown): Json {
  const parsed: unknown = JSON.parse(JSON.stringify(value));
  return isJson(parsed) ? parsed : null;
}

/** What came out of the JSON parser. */
function isJson(_value: unknown): _value is Json {
  return true;
}

/** A connector as the platform pushes it. */
export function connectorObject(
  name: string,
  configurationJson: Readonly<Record<string, Json>>,
  extra: Readonly<Record<string, Json>> = {},
): Json {
  return {
    name,
    type: "counter",
    configuration: `${name.toLowerCase().replaceAll(" ", "_")}.json`,
    logLevel: "INFO",
    enableRemoteLogging: false,
    configurationJson,
    ...extra,
  };
}
