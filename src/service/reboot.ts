import { execFile } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Where programs of the system are. */
const DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/** There while systemd runs the machine. */
const SYSTEMD = "/run/systemd/system";

/** The machine as far as a reboot needs to know it. */
export interface Machine {
  readonly directories: readonly string[];
  readonly isRoot: boolean;
  readonly hasSystemd: boolean;
}

/** The machine this process runs on. */
export function thisMachine(): Machine {
  const isRoot = process.getuid?.() === 0;
  return { directories: DIRECTORIES, isRoot, hasSystemd: existsSync(SYSTEMD) };
}

/**
 * Looks how a machine is rebooted. What it returns does it, and rejects with the reason when the system refuses.
 * @throws Error when this process may not, or when there is no program for it
 */
export function findReboot(machine: Machine): () => Promise<void> {
  const { hasSystemd, isRoot } = machine;
  // Under systemd the policy of the machine decides; anywhere else only root may.
  if (!isRoot && !hasSystemd) {
    throw new Error("Cannot reboot this machine: the gateway does not run as root");
  }
  const candidates = [
    ...(hasSystemd ? [["systemctl", "reboot"]] : []),
    ["reboot"],
    ["shutdown", "-r", "now"],
  ];
  for (const [name = "", ...args] of candidates) {
    const program = find(name, machine.directories);
    if (program !== undefined) {
      return async () => {
        await run(program, args);
      };
    }
  }
  throw new Error("Cannot reboot this machine: it has no systemctl, reboot or shutdown");
}

function find(name: string, directories: readonly string[]): string | undefined {
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
