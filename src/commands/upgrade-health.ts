import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import { askGateway } from "../service/status-client.ts";
import type { StatusReport } from "../service/status-protocol.ts";

/** Time between two looks. */
const LOOK_EVERY_MS = 500;
/** So many looks in a row must find it well: a process that crashes a second after its start is not. */
const LOOKS = 4;

/** What an upgrade must not make worse. */
export interface Health {
  readonly pid: number;
  readonly version: string;
  readonly link: string;
  readonly delivery: string;
  readonly connectors: readonly {
    readonly name: string;
    readonly state: string;
    readonly link: string | undefined;
  }[];
}

/** How the gateway is; `undefined` when none answers. */
export async function healthOf(dataDir: string, clock: Clock): Promise<Health | undefined> {
  return await ask(dataDir, clock).catch(() => undefined);
}

async function ask(dataDir: string, clock: Clock): Promise<Health> {
  const request = { get: "status", devices: 0 } as const;
  const { pid, version, link, delivery, connectors } = await askGateway<StatusReport>(
    dataDir,
    request,
    clock,
  );
  return { pid, version, link: link.state, delivery, connectors };
}

/** In words what is worse than before; `undefined` when nothing is. Without a `before` it has to run. */
export function whatIsWorse(before: Health | undefined, after: Health): string | undefined {
  if (after.pid === before?.pid) {
    return "the process of before still runs";
  }
  if (after.delivery !== "answering") {
    return "its store does not answer";
  }
  if (before?.link === "connected" && after.link !== "connected") {
    return `the platform is not reached: ${after.link}`;
  }
  for (const one of before?.connectors ?? []) {
    const worse = worseConnector(one, after);
    if (worse !== undefined) {
      return worse;
    }
  }
  return undefined;
}

function worseConnector(
  { name, state, link }: Health["connectors"][number],
  after: Health,
): string | undefined {
  const now = after.connectors.find((one) => one.name === name);
  if (state === "running" && now?.state !== "running") {
    return `the connector "${name}" is ${now?.state ?? "gone"}, and was running`;
  }
  return link === "connected" && now?.link !== "connected"
    ? `the connector "${name}" has no link to its devices, and had one`
    : undefined;
}

/** How long is waited. */
export interface HealthWait {
  readonly clock: Clock;
  readonly waitMs: number;
  /** Somebody ended the upgrade; the reason is the name of a signal. */
  readonly signal: AbortSignal;
}

/** Waits until the gateway is as well as before; resolves with what is wrong when it is not within `waitMs`, or with who ended the wait. */
export async function untilHealthy(
  dataDir: string,
  before: Health | undefined,
  { clock, waitMs, signal }: HealthWait,
): Promise<string | undefined> {
  const endMs = clock.monotonicMs() + waitMs;
  let problem = "it does not answer";
  let good = 0;
  let pid = 0;
  while (good < LOOKS && !signal.aborted) {
    const { pid: found, worse } = await look(dataDir, before, clock);
    const same = found === pid || good === 0;
    good = worse === undefined && same ? good + 1 : 0;
    pid = found;
    problem = worse ?? (same ? problem : "it does not stay up");
    if (good < LOOKS) {
      if (clock.monotonicMs() > endMs) {
        return problem;
      }
      await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    }
  }
  return signal.aborted ? `the upgrade was ended by ${String(signal.reason)}` : undefined;
}

/** One look: which process answers, 0 for none, and what is wrong with it. */
async function look(dataDir: string, before: Health | undefined, clock: Clock) {
  const found = await ask(dataDir, clock).catch(errorText);
  return typeof found === "string"
    ? { pid: 0, worse: found }
    : { pid: found.pid, worse: whatIsWorse(before, found) };
}
