import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import { errorText } from "#sdk/errors";
import { type Environment, findConfig, findDataDir } from "../config/directories.ts";
import { bequeath, fileCapabilities, refuseLoss } from "./file-capabilities.ts";
import { UsageError } from "./flags.ts";
import type { ServiceHost } from "./service-host.ts";
import { homeOf, isRoot } from "./service-install.ts";
import { serviceTails } from "./service-logs.ts";
import { type InstalledService, installedServices, stateOf } from "./service-manager.ts";
import {
  canReplace,
  discard,
  exchange,
  type ProgramFiles,
  programFiles,
  restore,
  swap,
} from "./upgrade-files.ts";
import { type Health, healthOf, untilHealthy } from "./upgrade-health.ts";
import { removeNote, upgradeState, writeNote } from "./upgrade-note.ts";
import { isInstalled, stageSource, verify } from "./upgrade-source.ts";
import { compareChecks, TrialError, type TrialPlaces, versionOf } from "./upgrade-trial.ts";

/** What of the log of a program that failed is shown. */
const SHOWN_LINES = 6;
const SHOWN_BYTES = 4096;

/** What is asked for. */
export interface UpgradeRequest {
  /** The program that is replaced, and asks. */
  readonly target: string;
  readonly configDir?: string | undefined;
  readonly dataDir?: string | undefined;
  /** How long the gateway has to be as well as before. */
  readonly waitMs: number;
  /** Replace the file only. */
  readonly restart: boolean;
  readonly env: Environment;
  readonly cwd: string;
  readonly commandLine: string;
  /** Ends it; the reason is the name of a signal. */
  readonly signal: AbortSignal;
}

const NEVER = new AbortController().signal;

/**
 * Checks, tries and installs a program; resolves with whether it is the one that runs. Says each step. When the request is ended, all is as
 * before. @throws UsageError, TrialError, Error
 */
export async function upgrade(
  file: string,
  sum: string | undefined,
  request: UpgradeRequest,
  host: ServiceHost,
): Promise<boolean> {
  const source = resolve(request.cwd, file);
  takeBackAbandoned(filesOf(request), host);
  const scene = await lookAround(request, host);
  const { files } = scene;
  await verify(source, sum);
  host.say("checksum   as it must be");
  if (await isInstalled(source, files)) {
    host.say("nothing    to do: this is the program that is installed");
    return true;
  }
  const inheritance = {
    capabilities: await fileCapabilities(files.target, host),
    target: files.target,
    isRoot: isRoot(),
    restart: request.restart && scene.service !== undefined,
  };
  refuseLoss(inheritance);
  try {
    await stageSource(source, files, host);
    await tryOut(scene, request, host);
    await bequeath(inheritance, files.next, host);
  } catch (error) {
    discard(files);
    if (request.signal.aborted) {
      const by = String(request.signal.reason);
      throw new TrialError(`The upgrade was ended by ${by}: nothing has changed`);
    }
    throw error;
  }
  swap(files, () => writeNote(files));
  host.say(`installed  ${files.target}; the one before is ${files.previous}`);
  const failure = await restartAndWait(scene, request, host);
  if (failure === undefined) {
    removeNote(files);
    return true;
  }
  host.say(`failed     ${failure}`);
  restore(files);
  removeNote(files);
  host.say(`back       ${files.target} is the one before again`);
  const again = await restartAndWait(scene, { ...request, signal: NEVER }, host);
  host.say(again === undefined ? "well       the gateway runs as before" : `failed     ${again}`);
  return false;
}

/** Runs the staged program: its version, and what it thinks of the configuration. @throws TrialError; the reason of the request's signal */
async function tryOut(scene: Scene, request: UpgradeRequest, host: ServiceHost): Promise<void> {
  const trial = { clock: host.clock, signal: request.signal };
  const { files, places } = scene;
  const version = await versionOf(files.next, trial);
  host.say(`runs       ${version}`);
  if (places !== undefined) {
    await compareChecks({ next: files.next, present: files.target }, places, trial);
    host.say(`checks     ${places.configDir}`);
  }
  request.signal.throwIfAborted();
}

/** Goes back to the program before the last change by hand; resolves with whether the gateway is well with it. */
export async function rollBack(request: UpgradeRequest, host: ServiceHost): Promise<boolean> {
  const scene = await lookAround(request, host);
  const { files } = scene;
  if (!existsSync(files.previous)) {
    throw new UsageError(`There is no ${files.previous} to go back to`);
  }
  refuseSecond(files);
  const version = await versionOf(files.previous, { clock: host.clock, signal: request.signal });
  exchange(files);
  removeNote(files);
  host.say(`installed  ${version} of ${files.previous}, where the other one is now`);
  const failure = await restartAndWait(scene, request, host);
  if (failure !== undefined) {
    host.say(`failed     ${failure}`);
  }
  return failure === undefined;
}

/**
 * Goes back to the program before an upgrade that was cut short, by a power cut or a kill, and restarts the service; resolves with whether
 * the gateway is well then. Without such an upgrade nothing is done.
 */
export async function recover(request: UpgradeRequest, host: ServiceHost): Promise<boolean> {
  const files = filesOf(request);
  if (upgradeState(files) === "running") {
    host.say("upgrade    is going on: left alone");
    return true;
  }
  if (!takeBackAbandoned(files, host)) {
    host.say("nothing    to take back");
    return true;
  }
  if (!request.restart) {
    return true;
  }
  const scene = await lookAround(request, host);
  // What runs is the program that nobody has found well: it is no measure.
  const failure = await restartAndWait({ ...scene, before: undefined }, request, host);
  if (failure !== undefined) {
    host.say(`failed     ${failure}`);
  }
  return failure === undefined;
}

/** @throws UsageError while another process tries the program in place */
function refuseSecond(files: ProgramFiles): void {
  if (upgradeState(files) === "running") {
    throw new UsageError("Another upgrade is going on: wait for its end");
  }
}

/** Resolves with whether there was a program that nobody has found well, and nobody will. @throws UsageError while another process tries one */
function takeBackAbandoned(files: ProgramFiles, host: ServiceHost): boolean {
  refuseSecond(files);
  if (upgradeState(files) === "none") {
    return false;
  }
  if (existsSync(files.previous)) {
    restore(files);
    host.say(`back       ${files.target} is the one before an upgrade that was cut short`);
  }
  removeNote(files);
  return true;
}

function filesOf({ target }: UpgradeRequest): ProgramFiles {
  return programFiles(realpathSync(target));
}

/** What there is before anything changes. */
interface Scene {
  readonly files: ProgramFiles;
  /** The service that runs this program; only when it runs. */
  readonly service: InstalledService | undefined;
  readonly dataDir: string;
  readonly before: Health | undefined;
  readonly places: TrialPlaces | undefined;
}

async function lookAround(request: UpgradeRequest, host: ServiceHost): Promise<Scene> {
  const files = filesOf(request);
  if (!canReplace(files)) {
    throw new UsageError(
      `${files.target} cannot be replaced by this user: sudo ${request.commandLine}`,
    );
  }
  const installed = installedServices(host, homeOf(request)).find(
    ({ plan }) => existsSync(plan.binary) && realpathSync(plan.binary) === files.target,
  );
  const { env, cwd } = request;
  const dataDir = findDataDir({ dataDir: request.dataDir ?? installed?.plan.dataDir, env, cwd });
  const before = await healthOf(dataDir, host.clock);
  const running = installed !== undefined && (await stateOf(installed)).running;
  if (!running && before !== undefined && request.restart && runs(before.pid, files)) {
    throw new UsageError(
      "A gateway runs that is no service of this machine: stop it first, install the service, or replace the file alone with --no-restart",
    );
  }
  const configDir = request.configDir ?? installed?.plan.configDir;
  const places = placesOf({ ...request, configDir }, dataDir);
  return { files, service: running ? installed : undefined, dataDir, before, places };
}

function runs(pid: number, { target }: ProgramFiles): boolean {
  try {
    return realpathSync(`/proc/${pid}/exe`) === target;
  } catch {
    return false;
  }
}

/** Without a configuration there is nothing to check. */
function placesOf(
  { configDir, env, cwd }: UpgradeRequest,
  dataDir: string,
): TrialPlaces | undefined {
  try {
    return { configDir: findConfig({ configDir, env, cwd }).configDir, dataDir };
  } catch (error) {
    if (configDir === undefined) {
      return undefined;
    }
    throw error;
  }
}

/** Starts the service with what is installed; in words what is wrong with it then. */
async function restartAndWait(
  { service, dataDir, before }: Scene,
  { restart, waitMs, signal }: UpgradeRequest,
  host: ServiceHost,
): Promise<string | undefined> {
  if (!restart || service === undefined) {
    host.say(restart ? "restart    none: no service runs" : "restart    none, as you said");
    return undefined;
  }
  const { clock } = host;
  let problem: string | undefined;
  try {
    await service.manager.restart(service.plan, waitMs);
    problem = await untilHealthy(dataDir, before, { clock, waitMs, signal });
  } catch (error) {
    problem = errorText(error);
  }
  if (problem === undefined) {
    host.say("well       the gateway runs, and all that worked before works");
    return undefined;
  }
  const tails = await serviceTails(service.plan, host, SHOWN_BYTES);
  const lines = tails
    .flatMap(({ text }) => text.trimEnd().split("\n").slice(-SHOWN_LINES))
    .map((line) => `\n           | ${line}`);
  return `${problem}${lines.length === 0 ? "" : "; it said last"}${lines.join("")}`;
}
