import { DemoModbusDevice } from "../../src/demo/modbus-device.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { BINARY } from "./gateway-process.ts";
import { until } from "./until.ts";

/** A machine may be busy with other tests. */
export const PATIENCE_MS = 60_000;
/** Access token of the gateway. */
export const TOKEN = "s3cret-token-of-the-gateway";

/** A platform and a Modbus device on this machine. */
export async function plant(): Promise<
  { readonly platform: ThingsBoardDouble; readonly device: DemoModbusDevice } & AsyncDisposable
> {
  await using stack = new AsyncDisposableStack();
  const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
  platform.createGateway("GW", TOKEN);
  const device = stack.use(await DemoModbusDevice.listen(systemClock));
  const owned = stack.move();
  return { platform, device, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** How a program ended. */
export interface Ended {
  readonly code: number;
  readonly output: string;
  readonly problem: string;
}

/** Runs the program without a terminal. */
export async function tbgw(
  cwd: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  const child = Bun.spawn([BINARY, ...args], {
    cwd,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env,
  });
  const [output, problem] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output, problem };
}

/** Runs the gateway that was configured, until the platform has a value. */
export async function valuesArrive(
  cwd: string,
  platform: ThingsBoardDouble,
  { device, key } = { device: "Modbus 1", key: "r_0" },
): Promise<void> {
  const gateway = Bun.spawn([BINARY, "run", "--config", "config", "--data", "data"], {
    cwd,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
    env: {},
  });
  try {
    await until("a value arrived", () => platform.valueCount(device, key) > 0, PATIENCE_MS);
  } finally {
    gateway.kill("SIGTERM");
    await gateway.exited;
  }
}
