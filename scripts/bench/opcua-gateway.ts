import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import { askGateway } from "../../src/service/status-client.ts";
import type { ConnectorReport } from "../../src/service/status-protocol.ts";
import { BINARY } from "../../test/support/gateway-process.ts";
import { AckingPeer } from "./acking-peer.ts";
import { mainFile } from "./main-file.ts";
import { Rounds } from "./opcua-rounds.ts";

/** Objects of the simulator, each with as many nodes. */
export const DEVICES = 10;

/** A gateway of its own process that reads the simulator, with the durable store and a platform that acknowledges everything. */
export class OpcuaGateway implements AsyncDisposable {
  readonly arrived = new Rounds();
  readonly startedMs = systemClock.now();
  readonly #dir: string;
  readonly #peer: AckingPeer;
  readonly #child: Bun.Subprocess;

  private constructor(dir: string, peer: AckingPeer) {
    this.#dir = dir;
    this.#peer = peer;
    const paths = ["--config", join(dir, "config"), "--data", join(dir, "data")];
    this.#child = Bun.spawn([BINARY, "run", ...paths], {
      env: {},
      cwd: dir,
      stdout: "ignore",
      stderr: "inherit",
    });
  }

  /** `items`: nodes of each device. */
  static async start(plant: {
    readonly url: string;
    readonly items: number;
  }): Promise<OpcuaGateway> {
    const dir = await mkdtemp(join(tmpdir(), "tbgw-opcua-scale-"));
    const peer = new AckingPeer(({ topic, payload }) => {
      if (topic === "v1/gateway/telemetry") {
        takeAll(gateway.arrived, payload.toString());
      }
    });
    await writeConfig(dir, { ...plant, platformPort: await peer.listen(0) });
    const gateway = new OpcuaGateway(dir, peer);
    return gateway;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Values of which the server has said that it left out others before them. */
  async overflows(): Promise<number> {
    const request = { get: "connector", name: "Plant" } as const;
    const data = join(this.#dir, "data");
    const { counters } = await askGateway<ConnectorReport>(data, request, systemClock);
    return counters["serverQueueOverflows"] ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.exited;
    this.#peer[Symbol.dispose]();
    await rm(this.#dir, { recursive: true });
  }
}

/** The values of a publish. */
function takeAll(arrived: Rounds, payload: string): void {
  const devices: Readonly<Record<string, readonly { values: Record<string, number> }[]>> =
    JSON.parse(payload);
  for (const [device, entries] of Object.entries(devices)) {
    for (const { values } of entries) {
      for (const [key, value] of Object.entries(values)) {
        arrived.take(`${device} ${key}`, value);
      }
    }
  }
}

async function writeConfig(
  dir: string,
  {
    url,
    items,
    platformPort,
  }: { readonly url: string; readonly items: number; readonly platformPort: number },
): Promise<void> {
  await mkdir(join(dir, "config"));
  const main = mainFile("opcua", platformPort);
  const mapping = Array.from({ length: DEVICES }, (_, device) => ({
    deviceNodePattern: `Root\\.Objects\\.Device${device}`,
    deviceInfo: { deviceNameExpression: `Device ${device}` },
    timeseries: Array.from({ length: items }, (__, item) => ({
      key: `v${item}`,
      value: `\${v${item}}`,
    })),
  }));
  // Sampling 0: the server reports each change, instead of comparing every node ten times a second.
  const server = { url, timeoutInMillis: 10_000, subSamplingIntervalInMillis: 0 };
  await writeFile(join(dir, "config/tb_gateway.json"), JSON.stringify(main));
  await writeFile(join(dir, "config/opcua.json"), JSON.stringify({ server, mapping }));
  await chmod(dir, 0o700);
}
