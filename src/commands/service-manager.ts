import { existsSync, readFileSync } from "node:fs";
import { errorText } from "#sdk/errors";
import type { ServiceHost } from "./service-host.ts";
import { readRecord, type ServiceKind, type ServicePlan } from "./service-plan.ts";
import {
  type CronFiles,
  cronLines,
  cronLockFile,
  cronPidFile,
  cronRaise,
  cronScript,
  cronTable,
  mergeSettings,
  openrcScript,
  openrcSettings,
  systemdUnit,
  withoutCronLines,
} from "./service-texts.ts";

/** What a service is doing. */
export interface ServiceState {
  readonly running: boolean;
  /** In words, from the service manager. */
  readonly text: string;
}

/** One way to keep the gateway running. Everything may be done twice. */
export interface ServiceManager {
  /** The file whose record says what is installed. */
  readonly file: string;
  install(plan: ServicePlan): Promise<void>;
  /**
   * Starts it, or starts it again with what is installed. A manager that waits until the gateway says it is ready waits `withinMs` at most.
   * @throws Error when the manager refuses, or has waited so long
   */
  restart(plan: ServicePlan, withinMs?: number): Promise<void>;
  stop(plan: ServicePlan): Promise<void>;
  remove(plan: ServicePlan | undefined): Promise<void>;
  state(plan: ServicePlan): Promise<ServiceState>;
}

const UNIT = "/etc/systemd/system/tbgw.service";
const WANTS = "/etc/systemd/system/multi-user.target.wants/tbgw.service";
const OPENRC = "/etc/init.d/tbgw";
const OPENRC_SETTINGS = "/etc/conf.d/tbgw";
const OPENRC_LEVEL = "/etc/runlevels/default/tbgw";
const CRON_TABLE = "/etc/cron.d/tbgw";
const CRON_SCRIPT = "/usr/local/lib/tbgw/cron.sh";
/** A stop of the gateway takes up to 10 s; a disk that hangs may need more. */
const STOP_MS = 25_000;
const LOOK_EVERY_MS = 100;

/** The manager of a kind. `home` is where a user who is not root keeps the script of cron. */
export function managerOf(kind: ServiceKind, host: ServiceHost, home: string): ServiceManager {
  switch (kind) {
    case "systemd":
      return systemd(host);
    case "openrc":
      return openrc(host);
    case "cron":
      return new Cron(host, home);
  }
}

function systemd(host: ServiceHost): ServiceManager {
  const control = (...args: readonly string[]): Promise<void> => host.run(["systemctl", ...args]);
  return {
    file: UNIT,
    install: async (plan) => {
      host.write(UNIT, systemdUnit(plan), 0o644);
      if (host.isLive) {
        await control("daemon-reload");
        await control("enable", "tbgw.service");
      } else {
        host.link(WANTS, UNIT);
      }
    },
    restart: (_plan, withinMs) => host.run(["systemctl", "restart", "tbgw.service"], withinMs),
    stop: () => control("stop", "tbgw.service"),
    remove: async () => {
      if (host.isLive && host.exists(UNIT)) {
        await host.tryRun(["systemctl", "disable", "--now", "tbgw.service"]);
      }
      host.remove(WANTS);
      host.remove(UNIT);
      if (host.isLive && host.find("systemctl") !== undefined) {
        await host.tryRun(["systemctl", "daemon-reload"]);
      }
    },
    state: async () => {
      const { stdout } = await host.ask(["systemctl", "is-active", "tbgw.service"]);
      const text = stdout.trim();
      return { running: text === "active" || text === "reloading", text };
    },
  };
}

function openrc(host: ServiceHost): ServiceManager {
  return {
    file: OPENRC,
    install: async (plan) => {
      const settings = mergeSettings(host.read(OPENRC_SETTINGS), openrcSettings(plan));
      host.write(OPENRC_SETTINGS, settings, 0o644);
      host.write(OPENRC, openrcScript(plan), 0o755);
      if (host.exists(OPENRC_LEVEL)) {
        host.say(`unchanged  ${OPENRC_LEVEL}`);
      } else if (host.isLive) {
        await host.run(["rc-update", "add", "tbgw", "default"]);
      } else {
        host.link(OPENRC_LEVEL, OPENRC);
      }
    },
    restart: () => host.run(["rc-service", "tbgw", "restart"]),
    stop: () => host.run(["rc-service", "--ifstarted", "tbgw", "stop"]),
    remove: async () => {
      if (host.isLive && host.exists(OPENRC)) {
        await host.tryRun(["rc-service", "--ifstarted", "tbgw", "stop"]);
      }
      host.remove(OPENRC_LEVEL);
      host.remove(OPENRC);
      host.remove(OPENRC_SETTINGS);
    },
    state: async () => {
      const { exitCode, stdout, stderr } = await host.ask(["rc-service", "tbgw", "status"]);
      const text = /status: (\w+)/.exec(stdout + stderr)?.[1] ?? `exit code ${exitCode}`;
      return { running: exitCode === 0, text };
    },
  };
}

class Cron implements ServiceManager {
  readonly file: string;
  readonly #host: ServiceHost;
  readonly #isRoot: boolean;

  constructor(host: ServiceHost, home: string) {
    this.#host = host;
    this.#isRoot = process.getuid?.() === 0 || !host.isLive;
    this.file = this.#isRoot ? CRON_SCRIPT : `${home}/.local/lib/tbgw/cron.sh`;
  }

  /** A table of the whole system, where cron reads such; else that of the user. */
  get #hasTables(): boolean {
    return !this.#host.isLive || (this.#isRoot && this.#host.exists("/etc/cron.d"));
  }

  async install(plan: ServicePlan): Promise<void> {
    this.#host.write(this.file, cronScript(plan), 0o755);
    if (this.#hasTables) {
      this.#host.write(CRON_TABLE, cronTable(this.#files(plan), plan.user), 0o644);
      return;
    }
    const before = await this.#crontab(plan.user);
    const lines = cronLines(this.#files(plan), undefined);
    await this.#setCrontab(`${withoutCronLines(before)}${lines.join("\n")}\n`, before, plan.user);
  }

  #files(plan: ServicePlan): CronFiles {
    return { script: this.file, binary: plan.binary, raised: raisedBy(plan, this.#host) };
  }

  async restart(plan: ServicePlan): Promise<void> {
    await this.stop(plan);
    const raised = raisedBy(plan, this.#host);
    await this.#host.run(
      raised === undefined
        ? this.#as(plan.user, `/bin/sh ${this.file}`)
        : ["/bin/sh", "-c", `${raised} /bin/sh ${this.file}`],
    );
  }

  async stop(plan: ServicePlan): Promise<void> {
    const pid = await this.#pid(plan);
    if (pid === undefined) {
      return;
    }
    await this.#host.run(["kill", "-TERM", String(pid)]);
    const { clock } = this.#host;
    const endMs = clock.monotonicMs() + STOP_MS;
    while ((await this.#pid(plan)) === pid) {
      if (clock.monotonicMs() > endMs) {
        await this.#host.tryRun(["kill", "-KILL", String(pid)]);
        return;
      }
      await clock.sleep(LOOK_EVERY_MS, new AbortController().signal);
    }
  }

  async remove(plan: ServicePlan | undefined): Promise<void> {
    this.#host.remove(CRON_TABLE);
    if (plan !== undefined && !this.#hasTables) {
      const before = await this.#crontab(plan.user);
      await this.#setCrontab(withoutCronLines(before), before, plan.user);
    }
    if (plan !== undefined && this.#host.isLive) {
      await this.stop(plan);
      this.#host.remove(cronLockFile(plan));
      this.#host.remove(cronPidFile(plan));
    }
    this.#host.remove(this.file);
  }

  async state(plan: ServicePlan): Promise<ServiceState> {
    const pid = await this.#pid(plan);
    const text =
      pid === undefined ? "not running; cron starts it within a minute" : `process ${pid}`;
    return { running: pid !== undefined, text };
  }

  /** The process that holds the lock: what the number in the file says counts only then. */
  async #pid(plan: ServicePlan): Promise<number | undefined> {
    const [lock, file] = [cronLockFile(plan), cronPidFile(plan)];
    if (!this.#host.isLive || !existsSync(lock) || !existsSync(file)) {
      return undefined;
    }
    const { exitCode } = await this.#host.ask(["flock", "-n", lock, "true"]);
    const pid = Number(readFileSync(file, "utf8").trim());
    return exitCode !== 0 && Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  }

  #as(user: string, command: string): readonly string[] {
    return this.#isRoot && user !== "root"
      ? ["su", "-s", "/bin/sh", user, "-c", command]
      : ["/bin/sh", "-c", command];
  }

  #options(user: string): readonly string[] {
    return this.#isRoot ? ["-u", user] : [];
  }

  async #crontab(user: string): Promise<string> {
    // Without a crontab it fails and says so.
    const { exitCode, stdout } = await this.#host.ask(["crontab", ...this.#options(user), "-l"]);
    return exitCode === 0 ? stdout : "";
  }

  async #setCrontab(text: string, before: string, user: string): Promise<void> {
    if (text === before) {
      this.#host.say(`unchanged  crontab of ${user}`);
      return;
    }
    const file = `${this.file}.crontab`;
    this.#host.write(file, text, 0o644);
    try {
      await this.#host.run(["crontab", ...this.#options(user), file]);
    } finally {
      this.#host.remove(file);
    }
  }
}

/**
 * The command by which root runs another one as the user of the service with what Bluetooth needs; `undefined` when it needs nothing, or
 * root is not who installs, or the machine has no such program.
 */
export function raisedBy(plan: ServicePlan, host: ServiceHost): string | undefined {
  const setpriv = host.isLive ? host.find("setpriv") : "/usr/bin/setpriv";
  const isRoot = process.getuid?.() === 0 || !host.isLive;
  return plan.kind === "cron" && plan.bluetooth && plan.user !== "root" && isRoot
    ? cronRaise(plan.user, setpriv)
    : undefined;
}

/** A service that is installed. */
export interface InstalledService {
  readonly plan: ServicePlan;
  readonly manager: ServiceManager;
}

/** The services of this machine that "tbgw service install" has made; normally one. */
export function installedServices(host: ServiceHost, home: string): readonly InstalledService[] {
  const found: InstalledService[] = [];
  for (const kind of ["systemd", "openrc", "cron"] as const) {
    const manager = managerOf(kind, host, home);
    const text = host.read(manager.file);
    const plan = text === undefined ? undefined : readRecord(text);
    if (plan !== undefined) {
      found.push({ plan, manager });
    }
  }
  return found;
}

/** The state of a service, or in words why it cannot be told. Never throws. */
export async function stateOf({ plan, manager }: InstalledService): Promise<ServiceState> {
  try {
    return await manager.state(plan);
  } catch (error) {
    return { running: false, text: errorText(error) };
  }
}
