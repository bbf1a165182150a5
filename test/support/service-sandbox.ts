import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY } from "./gateway-process.ts";
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

/** What a command said and how it ended. */
export interface Ended {
  readonly code: number;
  readonly out: string;
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

  static async open(): Promise<ServiceSandbox> {
    // Also a user who is not root must come through to the folders in it.
    const dir = await mkdtemp(join(tmpdir(), "tbgw-service-"));
    await Bun.spawn(["chmod", "755", dir]).exited;
    for (const name of Object.keys(OWN)) {
      await mkdir(join(dir, name));
    }
    await mkdir(join(dir, "spool/crontabs"));
    await copyFile(BINARY, join(dir, "bin/tbgw"));
    const binds = Object.entries(OWN).map(
      ([name, place]) => `mount --bind ${dir}/${name} ${place}`,
    );
    const script = [
      "set -e",
      `cp -a /etc/. ${dir}/etc`,
      `rm -f ${dir}/etc/cron.d/* ${dir}/etc/cron.hourly/*`,
      "mount -t tmpfs tmpfs /run",
      `mkdir -p /run/lock ${OPENRC_STATE.split(" ")
        .map((name) => `/run/openrc/${name}`)
        .join(" ")}`,
      "touch /run/openrc/softlevel",
      ...binds,
      "echo ready",
      // As the first process it has to take in the orphans.
      "while :; do sleep 1000 & wait $! || true; done",
    ].join("\n");
    const child = Bun.spawn(
      ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", script],
      { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
    );
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
    return new ServiceSandbox(dir, child, init);
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
    await rm(this.dir, { recursive: true, force: true });
  }
}
