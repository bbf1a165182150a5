import { existsSync, lstatSync, readdirSync, readFileSync, statfsSync } from "node:fs";
import { arch, cpus, freemem, loadavg, release, totalmem, uptime } from "node:os";
import { join } from "node:path";
import { errorText } from "#sdk/errors";
import type { Environment } from "../config/directories.ts";

/** Most names in the list of a folder. */
const MAX_NAMES = 1000;

/** The machine, as far as it matters to a gateway: no host name, no addresses. */
export function machineFacts(dataDir: string): object {
  const [cpu] = cpus();
  return {
    system: osName(),
    kernel: release(),
    processor: { architecture: arch(), model: cpu?.model, count: cpus().length },
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    load: loadavg(),
    uptimeSeconds: Math.round(uptime()),
    timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    user: process.getuid?.(),
    disk: diskOf(dataDir),
    serialPorts: namesIn("/dev/serial/by-id"),
    bluetooth: namesIn("/sys/class/bluetooth"),
  };
}

/** Which of the variables that the program reads are set; never what they say. */
export function variablesSet(env: Environment): readonly string[] {
  const known = /^(?:TB_|TBGW_|STATE_DIRECTORY$|NOTIFY_SOCKET$|WATCHDOG_|host$|port$|type$|TZ$)/;
  return Object.keys(env)
    .filter((name) => known.test(name))
    .sort();
}

/** Every file in a folder and below: mode, owner, size, time, name. */
export function listing(folder: string): string {
  if (!existsSync(folder)) {
    return `${folder} is not there\n`;
  }
  try {
    const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
    const lines = ["", ...names.slice(0, MAX_NAMES)].map((name) => line(folder, name));
    const more = names.length > MAX_NAMES ? [`and ${names.length - MAX_NAMES} more`] : [];
    return `${[folder, ...lines, ...more].join("\n")}\n`;
  } catch (error) {
    return `${errorText(error)}\n`;
  }
}

function line(folder: string, name: string): string {
  const found = lstatSync(join(folder, name), { throwIfNoEntry: false });
  if (found === undefined) {
    return `${name} is gone`;
  }
  const mode = (found.mode & 0o7777).toString(8).padStart(4, "0");
  const kind = found.isDirectory() ? "d" : found.isSymbolicLink() ? "l" : "-";
  const time = found.mtime.toISOString();
  return `${kind}${mode} ${found.uid}:${found.gid} ${String(found.size).padStart(12)} ${time} ${name === "" ? "." : name}`;
}

function osName(): string | undefined {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  } catch {
    return undefined; // Not every small system has it.
  }
}

function diskOf(dataDir: string): object {
  try {
    const { type, bsize, blocks, bavail } = statfsSync(dataDir);
    return {
      type: `0x${type.toString(16)}`,
      totalBytes: bsize * blocks,
      freeBytes: bsize * bavail,
    };
  } catch (error) {
    return { error: errorText(error) };
  }
}

function namesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
