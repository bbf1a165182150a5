import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");

/** The compiled program; the heavy suites need `bun run build` first. */
export const BINARY = process.env["TBGW_BINARY"] ?? join(root, "dist/tbgw");

/** How a gateway of a test is configured. */
export interface GatewayFiles {
  readonly platformPort: number;
  readonly brokerPort: number;
  readonly storage?: object;
  readonly thingsboard?: object;
  /** The `tbgw` object; without it there is no web server, so that gateways of tests do not fight for its port. */
  readonly tbgw?: object;
  /** Keys of the MQTT connector file besides `broker.host` and `broker.port`. */
  readonly mqtt?: {
    readonly broker?: object;
    readonly mapping?: readonly object[];
    readonly requestsMapping?: object;
  };
}

/** How the program is started other than plainly. */
export interface Launch {
  /** A command that ends in running its own arguments, in the same process. */
  readonly prefix?: readonly string[];
  /** Another program than the one for this machine. */
  readonly binary?: string;
  /** Environment; none of the test's own is passed on. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A JSON mapping as a Python gateway's file has it: name from the topic, a number and a sequence. */
export const SEQUENCE_MAPPING = {
  topicFilter: "plant/+/data",
  subscriptionQos: 1,
  converter: {
    type: "json",
    deviceInfo: {
      deviceNameExpressionSource: "topic",
      deviceNameExpression: "plant/([^/]+)/data",
      deviceProfileExpressionSource: "constant",
      deviceProfileExpression: "sensor",
    },
    timeseries: [
      { type: "long", key: "seq", value: "${seq}" },
      { type: "double", key: "value", value: "${value}" },
    ],
  },
};

/** A gateway run as users run it: its own directory, configuration files, and the compiled program. */
export class GatewayProcess implements AsyncDisposable {
  readonly dir: string;
  #child: Bun.Subprocess<"ignore", "pipe", "pipe"> | undefined;
  #output = "";

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Writes the configuration; nothing runs yet. */
  static async create(files: GatewayFiles): Promise<GatewayProcess> {
    if (!existsSync(BINARY)) {
      throw new Error(`There is no ${BINARY}: run "bun run build" first`);
    }
    const dir = await mkdtemp(join(tmpdir(), "tbgw-e2e-"));
    const gateway = new GatewayProcess(dir);
    await mkdir(join(dir, "config"));
    await gateway.writeConfig(files);
    return gateway;
  }

  async writeConfig(files: GatewayFiles): Promise<void> {
    const main = {
      thingsboard: {
        host: "127.0.0.1",
        port: files.platformPort,
        remoteShell: false,
        remoteConfiguration: false,
        security: { accessToken: "GATEWAY_TOKEN" },
        qos: 1,
        // The gateway's own values would be in every ledger.
        statistics: { enable: false },
        ...files.thingsboard,
      },
      storage: files.storage ?? { type: "sqlite", data_file_path: "./data/" },
      connectors: [{ type: "mqtt", name: "Plant broker", configuration: "mqtt.json" }],
      tbgw: files.tbgw ?? { web: { enabled: false } },
    };
    const mqtt = {
      broker: {
        host: "127.0.0.1",
        port: files.brokerPort,
        clientId: "tbgw-e2e",
        version: 4,
        cleanSession: false,
        maxNumberOfWorkers: 100,
        maxMessageNumberPerWorker: 10,
        security: { type: "anonymous" },
        ...files.mqtt?.broker,
      },
      mapping: files.mqtt?.mapping ?? [SEQUENCE_MAPPING],
      requestsMapping: files.mqtt?.requestsMapping,
    };
    await writeFile(join(this.dir, "config/tb_gateway.json"), JSON.stringify(main, null, 2));
    await writeFile(join(this.dir, "config/mqtt.json"), JSON.stringify(mqtt, null, 2));
    await chmod(this.dir, 0o700);
  }

  /** Starts the program. */
  start(
    extra: readonly string[] = [],
    { prefix = [], binary = BINARY, env = {} }: Launch = {},
  ): void {
    const child = Bun.spawn(
      [
        ...prefix,
        binary,
        "run",
        "--config",
        join(this.dir, "config"),
        "--data",
        join(this.dir, "data"),
        ...extra,
      ],
      { cwd: this.dir, stdin: "ignore", stdout: "pipe", stderr: "pipe", env },
    );
    this.#child = child;
    this.#collect(child.stdout);
    this.#collect(child.stderr);
  }

  /** All it has written, over all starts. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Whether it has ended, by itself or not. */
  get hasEnded(): boolean {
    return this.#child !== undefined && this.#child.exitCode !== null;
  }

  /** Ends it with a signal; resolves with the exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.#child?.kill(signal);
    return (await this.#child?.exited) ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child?.exitCode === null) {
      await this.stop("SIGKILL");
    }
    await rm(this.dir, { recursive: true, force: true });
  }

  #collect(stream: ReadableStream<Uint8Array>): void {
    const decoder = new TextDecoder();
    const sink = new WritableStream<Uint8Array>({
      write: (chunk) => {
        this.#output += decoder.decode(chunk, { stream: true });
      },
    });
    // A killed process breaks its pipes; what it wrote before is what counts.
    stream.pipeTo(sink).catch(() => undefined);
  }
}
