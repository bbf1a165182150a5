import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectorSetup } from "../../src/connector/supervisor.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { Connector, ConnectorHost } from "../../src/sdk/connector.ts";
import type { LogRecord } from "../../src/sdk/logger.ts";
import { Gateway } from "../../src/service/gateway.ts";
import type { GatewayOptions, GatewaySetup } from "../../src/service/gateway-setup.ts";
import { until } from "./until.ts";
import { plainSettings } from "./uplink-rig.ts";

/** What a connector of a test does; everything else of it is the least there can be. */
export interface PlantSpec {
  readonly name?: string;
  readonly type?: string;
  readonly devices?: readonly string[];
  readonly handlers?: Partial<
    Pick<
      Connector,
      | "handleRpc"
      | "handleConnectorRpc"
      | "handleAttributes"
      | "sharedAttributeKeys"
      | "rpcTimeoutMs"
    >
  >;
  /** Gets what ends the instance that runs as a failure. */
  readonly untilFailed?: (fail: (error: Error) => void) => void;
  /** Called with the host of each instance. */
  readonly created?: (host: ConnectorHost) => void;
}

/** A connector whose devices are there as soon as it runs. */
export function plant(spec: PlantSpec): ConnectorSetup {
  const { name = "Plant", type = "plant", devices = [], handlers = {}, created } = spec;
  const schema = {
    "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) },
  } as const;
  return {
    id: `id of ${name}`,
    name,
    type,
    config: {},
    logLevel: "info",
    definition: {
      kind: "connector",
      api: 1,
      type,
      schema,
      create: (_config, host) => {
        created?.(host);
        return {
          ...handlers,
          run: async (signal) => {
            for (const device of devices) {
              await host.devices.connect(device, "machine");
            }
            const { promise, resolve, reject } = Promise.withResolvers<void>();
            spec.untilFailed?.(reject);
            signal.addEventListener("abort", () => resolve(), { once: true });
            await promise;
          },
          [Symbol.asyncDispose]: () => Promise.resolve(),
        };
      },
    },
  };
}

/** A real gateway with its two threads, a ThingsBoard double, and connectors of the test between device and platform. */
export class GatewayRig implements AsyncDisposable {
  readonly server: ThingsBoardDouble;
  readonly gateway: Gateway;
  readonly dataDir: string;
  readonly log: readonly LogRecord[];

  private constructor(parts: {
    readonly server: ThingsBoardDouble;
    readonly gateway: Gateway;
    readonly dataDir: string;
    readonly log: readonly LogRecord[];
  }) {
    this.server = parts.server;
    this.gateway = parts.gateway;
    this.dataDir = parts.dataDir;
    this.log = parts.log;
  }

  static async open(
    connectors: readonly ConnectorSetup[],
    extra: {
      readonly setup?: Partial<GatewaySetup>;
      readonly options?: Partial<GatewayOptions>;
    } = {},
  ): Promise<GatewayRig> {
    const server = await ThingsBoardDouble.listen({ clock: systemClock, keepTranscript: false });
    server.createGateway("GW", "gw-token");
    const dataDir = await mkdtemp(join(tmpdir(), "tbgw-rig-"));
    const log: LogRecord[] = [];
    const gateway = await Gateway.start(
      {
        dataDir,
        session: plainSettings(server.port),
        storage: {
          kind: "memory",
          maxRecords: 10_000,
          maxBytes: undefined,
          ttlMs: 0,
          whenFull: "drop-oldest",
          durability: "durable",
          commitIntervalMs: 20,
          drain: "fifo",
        },
        connectors,
        logLevel: "info",
        ...extra.setup,
      },
      {
        clock: systemClock,
        sink: (record) => log.push(record),
        onFailure: (error) => {
          throw error;
        },
        ...extra.options,
      },
    );
    return new GatewayRig({ server, gateway, dataDir, log });
  }

  /** Waits until the platform has a session of each of these devices. */
  async announced(...devices: readonly string[]): Promise<void> {
    await this.server.until(
      () =>
        this.server
          .sessions()
          .some(({ children }) => devices.every((device) => children.includes(device))),
      20_000,
    );
  }

  /** Waits until the gateway has noticed that the platform is away. */
  async disconnected(): Promise<void> {
    await until(
      "disconnected",
      async () => (await this.gateway.status()).link.state !== "connected",
    );
  }

  /** The JSON of the answer to a call. */
  async call(device: string, ...args: CallArguments): Promise<unknown> {
    return JSON.parse(await this.server.rpc(device, ...args));
  }

  /** Waits for a line of the log. */
  async logged(message: string): Promise<LogRecord> {
    const find = (): LogRecord | undefined => this.log.find((record) => record.message === message);
    await until(`log line "${message}"`, () => find() !== undefined);
    const found = find();
    if (found === undefined) {
      throw new Error(`There is no line "${message}"`);
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.stop();
    await this.server[Symbol.asyncDispose]();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

type CallArguments =
  Parameters<ThingsBoardDouble["rpc"]> extends [string, ...infer Rest] ? Rest : never;
