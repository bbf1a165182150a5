import { existsSync, realpathSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { errorText } from "#sdk/errors";
import { type Environment, findConfig, findDataDir } from "../config/directories.ts";
import { UsageError } from "./flags.ts";
import type { ServiceHost } from "./service-host.ts";
import { homeOf } from "./service-install.ts";
import { serviceTails } from "./service-logs.ts";
import { type InstalledService, installedServices, stateOf } from "./service-manager.ts";
import {
  canReplace,
  discard,
  exchange,
  listedChecksum,
  type ProgramFiles,
  programFiles,
  restore,
  settle,
  sha256,
  stage,
  swap,
} from "./upgrade-files.ts";
import { type Health, healthOf, untilHealthy } from "./upgrade-health.ts";
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
}

/** Checks, tries and installs a program; resolves with whether it is the one that runs. Says each step. @throws UsageError, TrialError, Error */
export async function upgrade(
  file: string,
  sum: string | undefined,
  request: UpgradeRequest,
  host: ServiceHost,
): Promise<boolean> {
  const scene = await lookAround(request, host);
  const { files } = scene;
  const source = resolve(request.cwd, file);
  await verify(source, sum);
  host.say("checksum   as it must be");
  if (await isSame(source, files.target)) {
    host.say("nothing    to do: this is the program that is installed");
    return true;
  }
  let version: string;
  try {
    await (source.endsWith(".xz") ? unpack(source, files, host) : stage(source, files));
    version = await versionOf(files.next, host.clock);
    host.say(`runs       ${version}`);
    if (scene.places !== undefined) {
      const programs = { next: files.next, present: files.target };
      await compareChecks(programs, scene.places, host.clock);
      host.say(`checks     ${scene.places.configDir}`);
    }
  } catch (error) {
    discard(files);
    throw error;
  }
  swap(files);
  host.say(`installed  ${files.target}; the one before is ${files.previous}`);
  const failure = await restartAndWait(scene, request, host);
  if (failure === undefined) {
    return true;
  }
  host.say(`failed     ${failure}`);
  restore(files);
  host.say(`back       ${files.target} is the one before again`);
  const again = await restartAndWait(scene, request, host);
  host.say(again === undefined ? "well       the gateway runs as before" : `failed     ${again}`);
  return false;
}

/** Goes back to the program before the last change by hand; resolves with whether the gateway is well with it. */
export async function rollBack(request: UpgradeRequest, host: ServiceHost): Promise<boolean> {
  const scene = await lookAround(request, host);
  const { files } = scene;
  if (!existsSync(files.previous)) {
    throw new UsageError(`There is no ${files.previous} to go back to`);
  }
  const version = await versionOf(files.previous, host.clock);
  exchange(files);
  host.say(`installed  ${version} of ${files.previous}, where the other one is now`);
  const failure = await restartAndWait(scene, request, host);
  if (failure !== undefined) {
    host.say(`failed     ${failure}`);
  }
  return failure === undefined;
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
  const files = programFiles(realpathSync(request.target));
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

async function verify(file: string, given: string | undefined): Promise<void> {
  if (!existsSync(file)) {
    throw new UsageError(`There is no file ${file}`);
  }
  const wanted = given?.toLowerCase() ?? listedChecksum(file);
  if (wanted === undefined) {
    throw new UsageError(
      `The checksum of ${file} is not known: put SHA256SUMS of the release beside it, or say it with --sha256 SUM`,
    );
  }
  if (!/^[0-9a-f]{64}$/.test(wanted)) {
    throw new UsageError(`--sha256 must be 64 hexadecimal digits, but is "${wanted}"`);
  }
  const found = await sha256(file);
  if (found !== wanted) {
    throw new TrialError(
      `The file is not the one that was published: its SHA-256 is ${found}, and must be ${wanted}`,
    );
  }
}

async function isSame(source: string, target: string): Promise<boolean> {
  return (
    statSync(source).size === statSync(target).size &&
    (await sha256(source)) === (await sha256(target))
  );
}

async function unpack(source: string, files: ProgramFiles, host: ServiceHost): Promise<void> {
  if (host.find("xz") === undefined) {
    throw new UsageError(`${source} is packed: install xz, or unpack it first with "xz -dk"`);
  }
  discard(files);
  const script = 'exec xz -dc -- "$1" >"$2"';
  await host.run(["sh", "-c", script, "sh", source, files.next]);
  settle(files.next);
}

/** Starts the service with what is installed; in words what is wrong with it then. */
async function restartAndWait(
  { service, dataDir, before }: Scene,
  { restart, waitMs }: UpgradeRequest,
  host: ServiceHost,
): Promise<string | undefined> {
  if (!restart || service === undefined) {
    host.say(restart ? "restart    none: no service runs" : "restart    none, as you said");
    return undefined;
  }
  const { clock } = host;
  let problem: string | undefined;
  try {
    await service.manager.restart(service.plan);
    problem = await untilHealthy(dataDir, before, { clock, waitMs });
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
