import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { GatewayStatus } from "./status.ts";

/** What a supervisor that starts the process is told. */
export interface SupervisorLink extends AsyncDisposable {
  /** The gateway runs. From here on the supervisor hears, as often as it wants to, that both threads are alive. */
  ready(status: () => Promise<GatewayStatus>, log: Logger): void;
  /** The gateway ends, or the same process starts again. */
  stopping(again: boolean): void;
}

/** Environment variables by name. */
type Environment = Readonly<Record<string, string | undefined>>;

const NOBODY: SupervisorLink = {
  ready: () => undefined,
  stopping: () => undefined,
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** The link to systemd, or to who speaks as it does, where the environment names it; else one that does nothing. */
export async function openSupervisor(env: Environment, clock: Clock): Promise<SupervisorLink> {
  const place = env["NOTIFY_SOCKET"];
  if (place === undefined || place === "") {
    return NOBODY;
  }
  const { Notifier } = await import("./notifier.ts");
  return new Notifier({ place, env, clock });
}
