import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import { BINARY } from "../../test/support/gateway-process.ts";
import { until } from "../../test/support/until.ts";
import { AckingPeer } from "./acking-peer.ts";
import { processStats } from "./process-stats.ts";

const FOREVER = new AbortController().signal;
const DEVICES = 10;
const WARM_UP_S = 5;

/** One run: 10 devices with `items` each, all of which change every `periodMs`. */
export interface OpcuaRun {
  readonly items: number;
  readonly periodMs: number;
  readonly seconds: number;
}

type Child = Bun.Subprocess<"ignore", "pipe", "inherit">;

function start(script: string, ...args: readonly string[]): Child {
  return Bun.spawn([process.execPath, join(import.meta.dir, script), ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
}

/** What a process says until it has said `pattern`. */
async function says(child: Child, pattern: RegExp): Promise<string> {
  const reader = child.stdout.getReader();
  let text = "";
  while (!pattern.test(text)) {
    const { value, done } = await reader.read();
    if (done) {
      throw new Error(`The process ended: ${text}`);
    }
    text += new TextDecoder().decode(value);
  }
  reader.releaseLock();
  return pattern.exec(text)?.[1] ?? "";
}

/** What has arrived, value by value: each node counts up by one. */
class Arrivals {
  count = 0;
  lost = 0;
  repeated = 0;
  readonly #last = new Map<string, number>();

  get nodes(): number {
    return this.#last.size;
  }

  take(payload: string): void {
    const devices: Readonly<Record<string, readonly { values: Record<string, number> }[]>> =
      JSON.parse(payload);
    for (const [device, entries] of Object.entries(devices)) {
      for (const { values } of entries) {
        for (const [key, value] of Object.entries(values)) {
          this.#count(`${device} ${key}`, Math.floor(value));
        }
      }
    }
  }

  /** Whether every node has said its last value. */
  areAt(round: number): boolean {
    return this.#last.values().every((last) => last >= round);
  }

  #count(node: string, round: number): void {
    const last = this.#last.get(node);
    this.count += 1;
    if (last !== undefined && round <= last) {
      this.repeated += 1;
      return;
    }
    this.lost += last === undefined ? 0 : round - last - 1;
    this.#last.set(node, round);
  }
}

/** Values a second from the nodes to the platform's PUBACK, with the durable store between; beside it a bare client of the same server. */
export async function opcuaScale({ items, periodMs, seconds }: OpcuaRun): Promise<object> {
  const simulator = start("opcua-simulator.ts", String(DEVICES), String(items), String(periodMs));
  const arrivals = new Arrivals();
  using peer = new AckingPeer(({ topic, payload }) => {
    if (topic === "v1/gateway/telemetry") {
      arrivals.take(payload.toString());
    }
  });
  const dir = await mkdtemp(join(tmpdir(), "tbgw-opcua-scale-"));
  try {
    const url = `opc.tcp://127.0.0.1:${await says(simulator, /port (\d+)/)}`;
    const bare = await bareRun(url, items, seconds);
    await writeConfig(dir, { url, items, platformPort: await peer.listen(0) });
    const paths = ["--config", join(dir, "config"), "--data", join(dir, "data")];
    const child = Bun.spawn([BINARY, "run", ...paths], {
      env: {},
      cwd: dir,
      stdout: "ignore",
      stderr: "inherit",
    });
    try {
      const startMs = systemClock.monotonicMs();
      await until("all values once", () => arrivals.nodes === DEVICES * items, 120_000);
      const startupMs = Math.round(systemClock.monotonicMs() - startMs);
      await systemClock.sleep(1000 * WARM_UP_S, FOREVER);
      const from = { count: arrivals.count, cpu: processStats(child.pid).cpuSeconds };
      const fromMs = systemClock.monotonicMs();
      await systemClock.sleep(1000 * seconds, FOREVER);
      const tookS = (systemClock.monotonicMs() - fromMs) / 1000;
      const { cpuSeconds, rssMb, peakRssMb } = processStats(child.pid);
      const cores = (cpuSeconds - from.cpu) / tookS;
      const arrived = arrivals.count - from.count;
      simulator.kill("SIGUSR1");
      const round = Number(await says(simulator, /round (\d+)/));
      await until("the last values", () => arrivals.areAt(round), 30_000);
      return {
        items: DEVICES * items,
        wantedPerSecond: (DEVICES * items * 1000) / periodMs,
        arrivedPerSecond: Math.round(arrived / tookS),
        lost: arrivals.lost,
        repeated: arrivals.repeated,
        startupMs,
        itemsPerSecondAtStart: Math.round((DEVICES * items * 1000) / startupMs),
        cores: Number(cores.toFixed(3)),
        bare,
        timesBare: Number((cores / bare.cores).toFixed(2)),
        rssMb: Math.round(rssMb),
        peakRssMb: Math.round(peakRssMb),
      };
    } finally {
      child.kill("SIGTERM");
      await child.exited;
    }
  } finally {
    simulator.kill("SIGKILL");
    await simulator.exited;
    await rm(dir, { recursive: true });
  }
}

interface Bare {
  readonly arrivedPerSecond: number;
  readonly cores: number;
  readonly rssMb: number;
}

async function bareRun(url: string, items: number, seconds: number): Promise<Bare> {
  const child = start("opcua-bare.ts", url, String(DEVICES), String(items));
  try {
    await says(child, /(ready)/);
    await systemClock.sleep(1000 * WARM_UP_S, FOREVER);
    const cpu = processStats(child.pid).cpuSeconds;
    child.kill("SIGUSR1");
    const from = Number(await says(child, /values (\d+)/));
    await systemClock.sleep(1000 * seconds, FOREVER);
    child.kill("SIGUSR1");
    const values = Number(await says(child, /values (\d+)/)) - from;
    const { cpuSeconds, rssMb } = processStats(child.pid);
    return {
      arrivedPerSecond: Math.round(values / seconds),
      cores: Number(((cpuSeconds - cpu) / seconds).toFixed(3)),
      rssMb: Math.round(rssMb),
    };
  } finally {
    child.kill("SIGKILL");
    await child.exited;
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
  const main = {
    thingsboard: {
      host: "127.0.0.1",
      port: platformPort,
      remoteConfiguration: false,
      security: { accessToken: "GATEWAY_TOKEN" },
      statistics: { enable: false },
    },
    storage: { type: "sqlite" },
    connectors: [{ type: "opcua", name: "Plant", configuration: "opcua.json" }],
    tbgw: { web: { enabled: false } },
  };
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
