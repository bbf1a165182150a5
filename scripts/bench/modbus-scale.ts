import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import { BINARY } from "../../test/support/gateway-process.ts";
import { until } from "../../test/support/until.ts";
import { AckingPeer } from "./acking-peer.ts";
import { mainFile } from "./main-file.ts";
import { processStats } from "./process-stats.ts";

const FOREVER = new AbortController().signal;
const CONNECTIONS = 10;
const UNITS = 10;
const WARM_UP_S = 10;
/** Floats of one request: an item is never split. */
const PER_REQUEST = 62;

/** One run: 10 connections × 10 units × `floats` each `periodMs`. */
export interface ScaleRun {
  readonly floats: number;
  readonly periodMs: number;
  readonly seconds: number;
}

interface LineReader {
  read(): Promise<{ readonly value?: Uint8Array | undefined }>;
}

/** Simulated devices in a process of their own. */
class Simulator implements AsyncDisposable {
  readonly ports: readonly number[];
  readonly #child: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly #reader: LineReader;

  private constructor(
    child: Bun.Subprocess<"ignore", "pipe", "inherit">,
    reader: LineReader,
    ports: readonly number[],
  ) {
    this.#child = child;
    this.#reader = reader;
    this.ports = ports;
  }

  static async start(registers: number): Promise<Simulator> {
    const file = join(import.meta.dir, "modbus-simulator.ts");
    const args = [process.execPath, file, String(CONNECTIONS), String(registers)];
    const child = Bun.spawn(args, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    const text = new TextDecoder().decode(value);
    return new Simulator(child, reader, JSON.parse(text.slice(text.indexOf("["))));
  }

  get pid(): number {
    return this.#child.pid;
  }

  async answered(): Promise<number> {
    this.#child.kill("SIGUSR1");
    const { value } = await this.#reader.read();
    return Number(/answered (\d+)/.exec(new TextDecoder().decode(value))?.[1] ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

/** Requests a second the simulator answers when its clients do nothing but ask: one outstanding on each connection. */
export async function simulatorCeiling(): Promise<number> {
  await using simulator = await Simulator.start(2000);
  const request = Buffer.from("00010000000601030000007c", "hex");
  const sockets = simulator.ports.map((port) => {
    const socket = connect(port, "127.0.0.1");
    let missing = 257;
    socket.on("connect", () => socket.write(request));
    socket.on("data", (chunk: Buffer) => {
      missing -= chunk.length;
      if (missing <= 0) {
        missing += 257;
        socket.write(request);
      }
    });
    return socket;
  });
  await systemClock.sleep(1000, FOREVER);
  const before = await simulator.answered();
  await systemClock.sleep(3000, FOREVER);
  const after = await simulator.answered();
  for (const socket of sockets) {
    socket.destroy();
  }
  return Math.round((after - before) / 3);
}

/** Values a second from registers to the platform's PUBACK, with the durable store between. */
export async function modbusScale({ floats, periodMs, seconds }: ScaleRun): Promise<object> {
  await using simulator = await Simulator.start(2 * floats);
  let values = 0;
  let bytes = 0;
  using peer = new AckingPeer(({ topic, payload }) => {
    if (topic === "v1/gateway/telemetry") {
      values += payload.toString().split(".25").length - 1;
      bytes += payload.length;
    }
  });
  const platformPort = await peer.listen(0);
  const dir = await mkdtemp(join(tmpdir(), "tbgw-scale-"));
  await writeConfig(dir, { platformPort, ports: simulator.ports, floats, periodMs });
  const child = Bun.spawn(
    [BINARY, "run", "--config", join(dir, "config"), "--data", join(dir, "data")],
    {
      env: {},
      cwd: dir,
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  const output = new Response(child.stdout).text();
  try {
    await until("the first values", () => values > 0, 60_000);
    await systemClock.sleep(WARM_UP_S * 1000, FOREVER);
    const start = {
      values,
      bytes,
      requests: await simulator.answered(),
      ...look(child.pid, simulator.pid),
    };
    const startMs = systemClock.monotonicMs();
    await systemClock.sleep(seconds * 1000, FOREVER);
    const tookS = (systemClock.monotonicMs() - startMs) / 1000;
    const end = {
      values,
      bytes,
      requests: await simulator.answered(),
      ...look(child.pid, simulator.pid),
    };
    const perUnit = Math.ceil(floats / PER_REQUEST);
    const wanted = (CONNECTIONS * UNITS * floats * 1000) / periodMs;
    const arrived = (end.values - start.values) / tookS;
    return {
      wantedValuesPerSecond: wanted,
      arrivedValuesPerSecond: Math.round(arrived),
      missed: Number(Math.max(0, 1 - arrived / wanted).toFixed(4)),
      requestsPerSecond: Math.round((end.requests - start.requests) / tookS),
      leastRequestsPerSecond: (CONNECTIONS * UNITS * perUnit * 1000) / periodMs,
      cores: Number(((end.gatewayCpu - start.gatewayCpu) / tookS).toFixed(3)),
      simulatorCores: Number(((end.simulatorCpu - start.simulatorCpu) / tookS).toFixed(3)),
      rssMb: Math.round(end.rssMb),
      peakRssMb: Math.round(end.peakRssMb),
      bytesPerValue: Number(((end.bytes - start.bytes) / (end.values - start.values)).toFixed(2)),
      diskMbPerSecond: Number(((end.diskBytes - start.diskBytes) / tookS / 1e6).toFixed(2)),
    };
  } finally {
    child.kill("SIGTERM");
    await child.exited;
    await output;
    await rm(dir, { recursive: true });
  }
}

function look(
  gateway: number,
  simulator: number,
): Record<"gatewayCpu" | "simulatorCpu" | "rssMb" | "peakRssMb" | "diskBytes", number> {
  const { cpuSeconds, rssMb, peakRssMb, diskBytes } = processStats(gateway);
  return {
    gatewayCpu: cpuSeconds,
    simulatorCpu: processStats(simulator).cpuSeconds,
    rssMb,
    peakRssMb,
    diskBytes,
  };
}

async function writeConfig(
  dir: string,
  options: {
    readonly platformPort: number;
    readonly ports: readonly number[];
    readonly floats: number;
    readonly periodMs: number;
  },
): Promise<void> {
  const { platformPort, ports, floats, periodMs } = options;
  await mkdir(join(dir, "config"));
  const main = mainFile("modbus", platformPort);
  const slaves = ports.flatMap((port) =>
    Array.from({ length: UNITS }, (_, unit) => ({
      deviceName: `dev-${port}-${unit + 1}`,
      host: "127.0.0.1",
      port,
      unitId: unit + 1,
      pollPeriod: periodMs,
      timeout: 5,
      byteOrder: "BIG",
      wordOrder: "BIG",
      timeseries: [
        {
          tag: "t${address}",
          type: "32float",
          functionCode: 3,
          objectsCount: 2,
          address: `0-${2 * floats - 2}`,
        },
      ],
    })),
  );
  await writeFile(join(dir, "config/tb_gateway.json"), JSON.stringify(main));
  await writeFile(join(dir, "config/modbus.json"), JSON.stringify({ master: { slaves } }));
  await chmod(dir, 0o700);
}
