import { copyFile, cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY, GatewayProcess } from "./gateway-process.ts";
import { removeGroups, systemdScript } from "./systemd-machine.ts";
import { until } from "./until.ts";

/** Folders of the machine that the sandbox has for itself, by the place where it keeps them. */
const OWN = {
  etc: "/etc",
  bin: "/usr/local/bin",
  lib: "/usr/local/lib",
  state: "/var/lib",
  log: "/var/log",
  spool: "/var/spool/cron",
};

/** Where OpenRC notes what runs; made by its init, which does not run here. */
const OPENRC_STATE =
  "starting started stopping inactive wasinactive failed hotplugged daemons options exclusive scheduled init.d tmp crashed";

/** Those folders, by where they are outside. */
function ownBy(dir: string): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(OWN).map(([name, place]) => [join(dir, name), place]));
}

/** A first process that does nothing but take in the orphans. */
function plainScript(dir: string): string {
  return [
    "set -e",
    "mount -t proc proc /proc",
    `rm -f ${dir}/etc/cron.d/* ${dir}/etc/cron.hourly/*`,
    "mount -t tmpfs tmpfs /run",
    `mkdir -p /run/lock ${OPENRC_STATE.split(" ")
      .map((name) => `/run/openrc/${name}`)
      .join(" ")}`,
    "touch /run/openrc/softlevel",
    ...Object.entries(ownBy(dir)).map(([from, to]) => `mount --bind ${from} ${to}`),
    "echo ready",
    "while :; do sleep 1000 & wait $! || true; done",
  ].join("\n");
}

/** What a command said and how it ended. */
export interface Ended {
  readonly code: number;
  readonly out: string;
}

/** What the gateway of a sandbox is to do. */
export interface ServiceFiles {
  readonly platformPort?: number;
  readonly connectors?: readonly { readonly type: string; readonly config: object }[];
}

/**
 * A machine of its own for service managers: processes and system folders are private, the network is shared. Everything in it ends
 * with it. Needs root. The program is at `/usr/local/bin/tbgw`.
 */
export class ServiceSandbox implements AsyncDisposable {
  /** Keeps the private folders; seen at the same path inside. */
  readonly dir: string;
  readonly #child: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly #init: number;
  #commands = 0;

  private constructor(
    dir: string,
    child: Bun.Subprocess<"ignore", "pipe", "inherit">,
    init: number,
  ) {
    this.dir = dir;
    this.#child = child;
    this.#init = init;
  }

  /** Without a manager: one where OpenRC and cron can be run. With "systemd" that is its first process. */
  static async open(manager?: "systemd"): Promise<ServiceSandbox> {
    // Also a user who is not root must come through to the folders in it.
    const dir = await mkdtemp(join(tmpdir(), "tbgw-service-"));
    await Bun.spawn(["chmod", "755", dir]).exited;
    for (const name of Object.keys(OWN)) {
      await mkdir(join(dir, name));
    }
    await mkdir(join(dir, "spool/crontabs"));
    await copyFile(BINARY, join(dir, "bin/tbgw"));
    await Bun.spawn(["cp", "-a", "/etc/.", join(dir, "etc")]).exited;
    const script = manager === "systemd" ? systemdScript(dir, ownBy(dir)) : plainScript(dir);
    const child = Bun.spawn(["unshare", "-m", "-p", "-f", "--kill-child", "sh", "-c", script], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    let text = "";
    for await (const chunk of child.stdout) {
      text += new TextDecoder().decode(chunk);
      if (text.includes("ready")) {
        break;
      }
    }
    const children = await Bun.file(`/proc/${child.pid}/task/${child.pid}/children`).text();
    const init = Number(children.trim().split(" ")[0]);
    if (!(init > 1)) {
      throw new Error(`The sandbox has not started: ${text}`);
    }
    const sandbox = new ServiceSandbox(dir, child, init);
    if (manager === "systemd") {
      await until("systemd has started", async () => {
        return (await sandbox.run("systemctl is-system-running")).code === 0;
      });
    }
    return sandbox;
  }

  /** A configuration in `/etc/tbgw`: an MQTT connector, or these; nothing listens on port 9. */
  async configure({ platformPort = 9, connectors = [] }: ServiceFiles = {}): Promise<void> {
    await using files = await GatewayProcess.create({ platformPort, brokerPort: 9 });
    const folder = join(this.dir, "etc/tbgw");
    await cp(join(files.dir, "config"), folder, { recursive: true });
    if (connectors.length > 0) {
      const main = join(folder, "tb_gateway.json");
      const entries = connectors.map(({ type }) => ({
        type,
        name: type,
        configuration: `${type}.json`,
      }));
      const config = { ...(await Bun.file(main).json()), connectors: entries };
      await Bun.write(main, JSON.stringify(config));
    }
    for (const { type, config } of connectors) {
      await Bun.write(join(folder, `${type}.json`), JSON.stringify(config));
    }
  }

  /** Runs a command inside; resolves when it has ended. A file takes what it says: a daemon it starts may keep that open. */
  async run(command: string): Promise<Ended> {
    this.#commands += 1;
    const said = join(this.dir, `said-${this.#commands}`);
    const child = Bun.spawn(
      [
        "nsenter",
        "-t",
        String(this.#init),
        "-m",
        "-p",
        "-C",
        "-u",
        "-i",
        "--",
        "sh",
        "-c",
        `exec >${said} 2>&1; cd /; ${command}`,
      ],
      {
        stdin: "ignore",
        stdout: "inherit",
        stderr: "inherit",
        env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
      },
    );
    const code = await child.exited;
    return { code, out: await Bun.file(said).text() };
  }

  /** The number, inside, of the one gateway that runs; 0 when none answers. */
  async gatewayPid(): Promise<number> {
    const { code, out } = await this.run("tbgw status --json 2>/dev/null");
    return code === 0 ? Number(/"pid": (\d+)/.exec(out)?.[1] ?? 0) : 0;
  }

  /** Waits for a gateway that is another process than `before`. */
  async nextGateway(before = 0): Promise<number> {
    let pid = 0;
    await until(
      "a gateway answers",
      async () => {
        pid = await this.gatewayPid();
        return pid > 0 && pid !== before;
      },
      60_000,
    );
    return pid;
  }

  /** How many processes inside run the gateway. */
  async gateways(): Promise<number> {
    const { out } = await this.run("pgrep -fc '^/usr/local/bin/tbgw run' || true");
    return Number(out.trim());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
    await removeGroups(this.dir);
    await rm(this.dir, { recursive: true, force: true });
  }
}
