import { chmodSync, cpSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { GatewayStatus } from "../../src/service/status.ts";
import { writeExtensions } from "./extension-files.ts";
import { BINARY, GatewayProcess, type Launch } from "./gateway-process.ts";

/** The examples of extensions, which stand inside the project only so that they are type-checked. */
const EXAMPLES = resolve(import.meta.dir, "extensions");

/** An entry of `connectors` with the content of its file. */
export interface ExtensionEntry {
  readonly type: string;
  readonly name: string;
  readonly class?: string;
  readonly startTimeoutMs?: number;
  readonly isolation?: "worker";
  readonly file: object;
}

/** The compiled gateway with extensions in folders outside the project, and the ThingsBoard stand-in. */
export class ExtensionGateway implements AsyncDisposable {
  readonly platform: ThingsBoardDouble;
  readonly process: GatewayProcess;
  /** `extensions` beside the configuration. */
  readonly root: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    stack: AsyncDisposableStack,
    platform: ThingsBoardDouble,
    process: GatewayProcess,
  ) {
    this.#stack = stack;
    this.platform = platform;
    this.process = process;
    this.root = join(process.dir, "config/extensions");
  }

  /** Writes everything; nothing runs yet. */
  static async create(
    entries: readonly ExtensionEntry[],
    extensions: Readonly<Record<string, string>> = {},
  ): Promise<ExtensionGateway> {
    const stack = new AsyncDisposableStack();
    const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
    const ports = { platformPort: platform.port, brokerPort: 1 };
    const process = stack.use(await GatewayProcess.create(ports));
    const gateway = new ExtensionGateway(stack, platform, process);
    gateway.writeEntries(entries);
    writeExtensions(gateway.root, extensions);
    return gateway;
  }

  /** Copies the examples into a folder, `extensions` beside the configuration when none is given. */
  copyExamples(root = this.root): void {
    cpSync(EXAMPLES, root, { recursive: true });
    for (const name of readdirSync(root, { recursive: true, encoding: "utf8" })) {
      const path = join(root, name);
      chmodSync(path, statSync(path).isDirectory() ? 0o755 : 0o644);
    }
  }

  /** Makes `connectors` these entries, with their files. */
  writeEntries(entries: readonly ExtensionEntry[]): void {
    const config = join(this.process.dir, "config");
    const connectors = entries.map(({ file, ...entry }, index) => {
      const configuration = `connector-${index}.json`;
      writeFileSync(join(config, configuration), JSON.stringify(file, null, 2));
      return { ...entry, configuration };
    });
    const path = join(config, "tb_gateway.json");
    const main: object = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...main, connectors }, null, 2));
  }

  /** Starts the program and waits until the platform has its gateway. */
  async start(
    extra: readonly string[] = [],
    launch: Launch = {},
    timeoutMs = 20_000,
  ): Promise<void> {
    this.process.start(extra, launch);
    await this.platform.until(() => this.platform.sessions()[0]?.filters.length === 7, timeoutMs);
  }

  /** What a command of the program prints, and its exit code. */
  async command(
    ...args: readonly string[]
  ): Promise<{ readonly code: number; readonly out: string }> {
    const child = Bun.spawn([BINARY, ...args], {
      cwd: this.process.dir,
      env: {},
      stdout: "pipe",
      stderr: "pipe",
    });
    const out = await new Response(child.stdout).text();
    const rest = await new Response(child.stderr).text();
    return { code: await child.exited, out: out + rest };
  }

  /** `tbgw check` of the configuration. */
  async check(
    ...flags: readonly string[]
  ): Promise<{ readonly code: number; readonly out: string }> {
    return await this.command("check", "--config", join(this.process.dir, "config"), ...flags);
  }

  /** The connectors in the status of the running gateway; none before it tells its status. */
  async connectors(): Promise<GatewayStatus["connectors"]> {
    const { code, out } = await this.command(
      "status",
      "--json",
      "--data",
      join(this.process.dir, "data"),
    );
    if (code !== 0) {
      return [];
    }
    const status: GatewayStatus = JSON.parse(out);
    return status.connectors;
  }

  /** How often the program has written a text. */
  said(text: string): number {
    return this.process.output.split(text).length - 1;
  }

  /** The texts of the values of a key, in the order of their arrival. */
  texts(device: string, key: string): readonly string[] {
    return this.platform.series(device, key).map(({ text }) => text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
