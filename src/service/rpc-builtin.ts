import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import { errorText, RpcError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { isJsonObject, type Json } from "#sdk/model";
import { VERSION } from "../version.ts";
import type { Counters } from "./metrics.ts";
import { numberOf } from "./rpc-answers.ts";
import type { ConfiguredConnector } from "./rpc-gateway.ts";
import type { GatewayMethod } from "./rpc-methods.ts";

/** A restart or reboot comes so much later than its answer, at least. */
const MIN_DELAY_S = 1;
const MAX_DELAY_S = 86_400;
/** The platform's answer to a provisioning request, in the data directory. */
const CREDENTIALS_FILE = ".credentials";

/** What the built-in methods work on. */
export interface BuiltinDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly dataDir: string;
  readonly connectors: () => readonly ConfiguredConnector[];
  readonly devices: {
    of(connectorId: string): readonly { readonly deviceName: string }[];
    rename(from: string, to: string): unknown;
    remove(name: string): unknown;
  };
  readonly countersOf: (connectorId: string) => Counters;
  /** `tbgw.allowReboot` at this moment. */
  readonly allowsReboot: () => boolean;
  /** Stops the gateway and starts the same program again; `undefined` when it is not alone in its process. */
  readonly restart: (() => void) | undefined;
  /** Looks how this machine is rebooted; what it returns does it. @throws Error when this process cannot. */
  readonly findReboot: () => () => Promise<void>;
  /** A device was deleted: what is kept for it must not bring it back. */
  readonly deviceRemoved: (name: string) => void;
}

/** The methods the gateway itself has, by their full names. */
export function builtinMethods(deps: BuiltinDeps): ReadonlyMap<string, GatewayMethod> {
  const timers = new Set<Disposable>();
  const later = (params: Json | undefined, act: () => void): void => {
    for (const timer of timers) {
      timer[Symbol.dispose](); // The last call counts.
    }
    timers.clear();
    timers.add(deps.clock.timer(delaySecondsOf(params) * 1000, act));
  };
  return new Map<string, GatewayMethod>([
    ["gateway_ping", () => ok("pong")],
    ["gateway_stats", () => Promise.resolve(statistics(deps))],
    ["gateway_devices", () => ok(devicesByName(deps))],
    ["gateway_version", () => ok({ current_version: VERSION, latest_version: VERSION })],
    // Nobody is asked for later versions: what runs is the latest one that is known.
    ["gateway_update", () => ok("Congratulations! You have the latest version.")],
    ["gateway_restart", async (params) => restart(deps, (act) => later(params, act))],
    ["gateway_reboot", async (params) => reboot(deps, (act) => later(params, act))],
    ["gateway_device_renamed", async (params) => renamed(deps, params)],
    ["gateway_device_deleted", async (params) => deleted(deps, params)],
    ["gateway_remove_provisioned_credentials", () => removeCredentials(deps)],
  ]);
}

function ok(resp: Json): Promise<Json> {
  return Promise.resolve({ code: 200, resp });
}

/** Sums over all connectors, and each connector under its name without spaces. */
function statistics({ connectors, countersOf }: BuiltinDeps): Json {
  const stats: Record<string, Json> = {};
  let produced = 0;
  let sent = 0;
  for (const { id, name } of connectors()) {
    const counters = countersOf(id);
    const of = (key: string): number => counters[key] ?? 0;
    const prefix = name.replaceAll(" ", "");
    stats[`${prefix}EventsProduced`] = of("connectorMsgsReceived");
    stats[`${prefix}EventsSent`] = of("storageMsgPushed");
    produced += of("connectorMsgsReceived");
    sent += of("storageMsgPushed");
  }
  return { eventsProduced: produced, eventsSent: sent, ...stats };
}

function devicesByName({ connectors, devices }: BuiltinDeps): Json {
  const found: Record<string, Json> = {};
  for (const { id, name } of connectors()) {
    for (const { deviceName } of devices.of(id)) {
      found[deviceName] = name;
    }
  }
  return found;
}

function restart({ log, restart: again }: BuiltinDeps, later: (act: () => void) => void): Json {
  if (again === undefined) {
    throw new RpcError("This gateway cannot restart itself", 501);
  }
  log.info("The platform asks for a restart");
  later(again);
  return { success: true };
}

function reboot(deps: BuiltinDeps, later: (act: () => void) => void): Json {
  const { allowsReboot, findReboot, log } = deps;
  if (!allowsReboot()) {
    log.warn("The platform asks for a reboot, which tbgw.allowReboot does not allow");
    throw new RpcError("reboot is not allowed on this gateway (tbgw.allowReboot)", 403);
  }
  let act: () => Promise<void>;
  try {
    act = findReboot();
  } catch (error) {
    throw new RpcError(errorText(error), 500);
  }
  log.warn("The platform asks for a reboot of this machine");
  later(() => {
    act().catch((error: unknown) => log.error("Cannot reboot this machine", { error }));
  });
  return { success: true };
}

/** Only the first pair counts; an event that has been applied before is answered all the same. */
function renamed({ devices }: BuiltinDeps, params: Json | undefined): Json {
  const [event] = isList(params) ? params : [params];
  const [pair] = isJsonObject(event) ? Object.entries(event) : [];
  if (pair === undefined || typeof pair[1] !== "string" || pair[1] === "") {
    throw new RpcError('gateway_device_renamed needs {"old name":"new name"}', 400);
  }
  devices.rename(pair[0], pair[1]);
  return { success: true };
}

function deleted({ devices, deviceRemoved }: BuiltinDeps, params: Json | undefined): Json {
  const [name] = isList(params) ? params : [params];
  if (typeof name !== "string" || name === "") {
    throw new RpcError("gateway_device_deleted needs the name of a device", 400);
  }
  deviceRemoved(name);
  devices.remove(name);
  return { success: true };
}

async function removeCredentials({ dataDir, log }: BuiltinDeps): Promise<Json> {
  const path = join(dataDir, CREDENTIALS_FILE);
  try {
    await readFile(path);
    await rm(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return { code: 404, message: "There are no provisioned credentials" };
    }
    return { code: 500, error: errorText(error) };
  }
  log.warn("The provisioned credentials were removed: the next start asks for others");
  return { code: 200, resp: "The provisioned credentials are removed; restart to ask for others" };
}

/** Seconds as a number or its text, also alone in a list; anything else is the shortest delay. */
function delaySecondsOf(params: Json | undefined): number {
  const [first] = isList(params) ? params : [params];
  return Math.min(MAX_DELAY_S, Math.max(MIN_DELAY_S, numberOf(first) ?? MIN_DELAY_S));
}

/** `Array.isArray` does not narrow a readonly array. */
function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
