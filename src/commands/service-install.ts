import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { isCompiled } from "#platform/thread";
import { type Environment, findConfig, findDataDir } from "../config/directories.ts";
import { loadConfiguration } from "../config/load.ts";
import { connectorTypes } from "../connector/registry.ts";
import { BLUETOOTH_CAPABILITIES, fileCapabilities } from "./file-capabilities.ts";
import { UsageError } from "./flags.ts";
import type { ServiceHost } from "./service-host.ts";
import { installedServices, managerOf, raisedBy, stateOf } from "./service-manager.ts";
import {
  detectKind,
  isPlain,
  needsOf,
  SERVICE_KINDS,
  type ServiceKind,
  type ServicePlan,
  serialGroups,
} from "./service-plan.ts";
import { findUser, foreignOwner, provideUser } from "./service-user.ts";

/** What is asked for; everything else is found out. */
export interface ServiceRequest {
  /** Default: the one that runs this machine. */
  readonly kind?: ServiceKind | undefined;
  /** Default: `tbgw`, which is made; without root, the user who asks. */
  readonly user?: string | undefined;
  /** Default: as for `tbgw run`. */
  readonly configDir?: string | undefined;
  readonly dataDir?: string | undefined;
  /** Default: this program. */
  readonly binary?: string | undefined;
  /** Default: true. */
  readonly start?: boolean;
  readonly env: Environment;
  readonly cwd: string;
  /** What a person would type after `sudo`, for the message when root is needed. */
  readonly commandLine: string;
}

/**
 * Installs the service, starts it, and says each thing that is done. What is as it should be stays as it is.
 * @throws UsageError when the request cannot be carried out; ConfigError without a configuration; Error when the machine refuses
 */
export async function installService(
  request: ServiceRequest,
  host: ServiceHost,
): Promise<ServicePlan> {
  const plan = await planService(request, host);
  refuseSecond(plan, host, homeOf(request));
  const ids = findUser(host, plan.user);
  for (const folder of [plan.configDir, plan.dataDir]) {
    const foreign = foreignOwner(host, folder, ids);
    if (foreign !== undefined && isRoot()) {
      throw new UsageError(
        `${foreign}: run the service as that user with --user, or give the folder to root (chown -R root ${folder}), and it is given to ${plan.user}`,
      );
    }
  }
  if (isRoot() || !host.isLive) {
    await provideUser(host, plan);
    const made = findUser(host, plan.user) ?? { uid: 0, gid: 0 };
    for (const folder of new Set([plan.configDir, plan.dataDir])) {
      host.own(folder, made);
    }
    await refuseUnreachable(plan, host, made.uid);
  }
  const manager = managerOf(plan.kind, host, homeOf(request));
  await manager.install(plan);
  await sayCapabilities(plan, host);
  if (request.start !== false && host.isLive) {
    await manager.restart(plan);
  }
  return plan;
}

/** Stops and removes the services that are there; configuration and data stay. Resolves with how many there were. */
export async function uninstallService(
  request: Pick<ServiceRequest, "kind" | "env" | "commandLine">,
  host: ServiceHost,
): Promise<number> {
  const home = homeOf(request);
  const found = installedServices(host, home).filter(
    ({ plan }) => request.kind === undefined || plan.kind === request.kind,
  );
  if (
    found.some(
      ({ plan }) => plan.kind !== "cron" || findUser(host, plan.user)?.uid !== process.getuid?.(),
    )
  ) {
    needRoot(request.commandLine, host);
  }
  for (const { plan, manager } of found) {
    await manager.remove(plan);
    host.say(`Configuration ${plan.configDir}, data ${plan.dataDir} and user ${plan.user} stay.`);
  }
  if (found.length === 0) {
    host.say("No service is installed: nothing to do.");
  }
  return found.length;
}

/** What the services of this machine do, a line each. */
export async function serviceLines(
  env: Environment,
  host: ServiceHost,
): Promise<
  readonly {
    readonly plan: ServicePlan;
    readonly running: boolean;
    readonly text: string;
  }[]
> {
  const all = installedServices(host, homeOf({ env }));
  return await Promise.all(
    all.map(async (service) => ({ plan: service.plan, ...(await stateOf(service)) })),
  );
}

/** Whether files of the system can be written. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Under cron only root can hand on what Bluetooth needs; a user's program gets it by a command of root's. */
async function sayCapabilities(plan: ServicePlan, host: ServiceHost): Promise<void> {
  const { kind, user, binary, bluetooth } = plan;
  if (kind !== "cron" || !bluetooth || user === "root" || raisedBy(plan, host) !== undefined) {
    return;
  }
  if (host.isLive && (await fileCapabilities(binary, host)) !== undefined) {
    return;
  }
  const sudo = isRoot() ? "" : "sudo ";
  host.say(
    `Bluetooth needs two capabilities that cron cannot give to ${user}. The program has them for everybody after:\n  ${sudo}setcap ${BLUETOOTH_CAPABILITIES} ${binary}`,
  );
}

/** Home of the user who calls. */
export function homeOf({ env }: Pick<ServiceRequest, "env">): string {
  return env["HOME"] ?? "/";
}

async function planService(request: ServiceRequest, host: ServiceHost): Promise<ServicePlan> {
  const kind = kindFor(request, host);
  const configDir = configOf(request, host);
  const needs = host.exists(configDir) ? await needsIn(join(host.root, configDir), request) : NONE;
  const plan = {
    kind,
    user: request.user ?? userOf(request, host),
    binary: binaryOf(request, host),
    configDir,
    dataDir: dataOf(request, host),
    bluetooth: needs.bluetooth,
    groups: serialGroups(needs.serialPorts, host.read("/etc/group") ?? ""),
  };
  for (const text of [plan.user, plan.binary, plan.configDir, plan.dataDir]) {
    if (!isPlain(text)) {
      throw new UsageError(
        `"${text}" cannot be part of a service: only letters, digits and _ . / @ + : , - can`,
      );
    }
  }
  return plan;
}

/** @throws UsageError when there is none, or this user may not install it */
function kindFor(
  { kind: wanted, user, commandLine }: ServiceRequest,
  host: ServiceHost,
): ServiceKind {
  const kind = wanted ?? detectKind(host.root);
  if (kind === undefined) {
    const flags = SERVICE_KINDS.map((one) => `--${one}`).join(", ");
    throw new UsageError(`Cannot find systemd, OpenRC or cron here; say which one: ${flags}`);
  }
  if (kind !== "cron" || user !== undefined) {
    needRoot(commandLine, host);
  }
  if (kind === "cron" && host.isLive && host.find("flock") === undefined) {
    throw new UsageError("The service of cron needs the program flock: install util-linux");
  }
  return kind;
}

function userOf({ env }: ServiceRequest, host: ServiceHost): string {
  return isRoot() || !host.isLive ? "tbgw" : (env["USER"] ?? env["LOGNAME"] ?? "");
}

function dataOf({ dataDir, env, cwd }: ServiceRequest, host: ServiceHost): string {
  if (!host.isLive) {
    return resolve("/", dataDir ?? "/var/lib/tbgw");
  }
  return dataDir === undefined && isRoot() ? "/var/lib/tbgw" : findDataDir({ dataDir, env, cwd });
}

const NONE = { bluetooth: false, serialPorts: [] };

async function needsIn(configDir: string, { env, cwd }: ServiceRequest) {
  const loaded = await loadConfiguration({ configDir, env, cwd, connectorTypes });
  return needsOf(loaded.connectors);
}

function configOf(request: ServiceRequest, host: ServiceHost): string {
  const { configDir, env, cwd } = request;
  if (host.isLive) {
    return findConfig({ configDir, env, cwd }).configDir;
  }
  return configDir === undefined ? "/etc/tbgw" : resolve("/", configDir);
}

function binaryOf({ binary, cwd }: ServiceRequest, host: ServiceHost): string {
  if (binary !== undefined) {
    const path = resolve(host.isLive ? cwd : "/", binary);
    if (host.isLive && !existsSync(path)) {
      throw new UsageError(`--binary: there is no file ${path}`);
    }
    return path;
  }
  if (!host.isLive) {
    return "/usr/local/bin/tbgw";
  }
  if (!isCompiled) {
    throw new UsageError(
      "The sources are no service: build the program, or name one with --binary",
    );
  }
  return process.execPath;
}

/** @throws UsageError with the command to type when this process is not root's */
function needRoot(commandLine: string, host: ServiceHost): void {
  if (host.isLive && !isRoot()) {
    throw new UsageError(
      `This needs root: sudo ${commandLine}\nWithout root there is: tbgw service install --cron`,
    );
  }
}

/** Two services would start two gateways on one store. */
function refuseSecond({ kind }: ServicePlan, host: ServiceHost, home: string): void {
  const other = installedServices(host, home).find(({ plan }) => plan.kind !== kind);
  if (other !== undefined) {
    throw new UsageError(
      `The gateway is a service of ${other.plan.kind} already: tbgw service uninstall --${other.plan.kind} comes first`,
    );
  }
}

/** The user of a service may not be able to reach a program in somebody's home. */
async function refuseUnreachable(plan: ServicePlan, host: ServiceHost, uid: number): Promise<void> {
  if (!host.isLive || uid === 0 || findUser(host, plan.user) === undefined) {
    return;
  }
  const command = `test -x ${plan.binary} && test -r ${plan.configDir}/.`;
  const { exitCode } = await host.ask(["su", "-s", "/bin/sh", plan.user, "-c", command]);
  if (exitCode !== 0) {
    throw new UsageError(
      `The user ${plan.user} cannot reach ${plan.binary} or ${plan.configDir}: put the program into /usr/local/bin and the configuration into /etc/tbgw`,
    );
  }
}
