import { join } from "node:path";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { StatusReport } from "../../src/service/status-protocol.ts";
import { BINARY, type GatewayFiles, GatewayProcess } from "./gateway-process.ts";
import { Mosquitto } from "./mosquitto.ts";
import { freePort } from "./ports.ts";
import { until } from "./until.ts";

/** A gateway with its surroundings, and what looks at it. */
export interface WatchedLine extends AsyncDisposable {
  readonly platform: ThingsBoardDouble;
  readonly gateway: GatewayProcess;
  readonly webPort: number;
  publish(topic: string, payload: string): Promise<unknown>;
  tbgw(...args: readonly string[]): Promise<Output>;
  /** `tbgw status --json` of this gateway. */
  status(...args: readonly string[]): Promise<StatusReport>;
  get(path: string): Promise<Response>;
}

/** How a command ended. */
export interface Output {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of the compiled program. */
export async function tbgw(args: readonly string[]): Promise<Output> {
  const child = Bun.spawn([BINARY, ...args], { env: {}, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, err };
}

/** Broker, gateway with a web server, and platform. The gateway runs once `start` of it is called. */
export async function makeLine(files: Partial<GatewayFiles> = {}): Promise<WatchedLine> {
  await using stack = new AsyncDisposableStack();
  const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  const broker = stack.use(await Mosquitto.start());
  const webPort = await freePort();
  const gateway = stack.use(
    await GatewayProcess.create({
      platformPort: platform.port,
      brokerPort: broker.port,
      tbgw: { web: { port: webPort } },
      ...files,
    }),
  );
  const client = await connectAsync({ host: "127.0.0.1", port: broker.port });
  stack.defer(() => client.endAsync());
  const owned = stack.move();
  const data = join(gateway.dir, "data");
  const run = (...args: readonly string[]): Promise<Output> =>
    tbgw(["status", "--data", data, ...args]);
  return {
    platform,
    gateway,
    webPort,
    publish: (topic, payload) => client.publishAsync(topic, payload, { qos: 1 }),
    tbgw: run,
    status: async (...args) => {
      const { code, out, err } = await run("--json", ...args);
      if (code !== 0) {
        throw new Error(`tbgw status ended with ${code}: ${err}`);
      }
      return JSON.parse(out);
    },
    get: (path) => fetch(`http://127.0.0.1:${webPort}${path}`),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** As `makeLine`, running and connected on both sides. */
export async function startLine(files: Partial<GatewayFiles> = {}): Promise<WatchedLine> {
  const line = await makeLine(files);
  line.gateway.start();
  await until("the gateway reached its broker and the platform", () =>
    [/Plant broker: Link is up/, /tb_connection: Link is up/].every((up) =>
      up.test(line.gateway.output),
    ),
  );
  return line;
}
