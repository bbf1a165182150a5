import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { LoadedConnector } from "../config/connectors.ts";

/** What starts the gateway and keeps it running. */
export type ServiceKind = "systemd" | "openrc" | "cron";

/** All three, in the order in which they are looked for. */
export const SERVICE_KINDS: readonly ServiceKind[] = ["systemd", "openrc", "cron"];

/** What a service is installed with; a line of its file repeats it, for whoever comes later. */
export interface ServicePlan {
  readonly kind: ServiceKind;
  readonly user: string;
  readonly binary: string;
  readonly configDir: string;
  readonly dataDir: string;
  /** Whether a Bluetooth adapter of this machine is configured: it needs two capabilities. */
  readonly bluetooth: boolean;
  /** Groups of the serial ports that are configured. */
  readonly groups: readonly string[];
}

/** What the configured connectors need of the machine. */
export interface MachineNeeds {
  readonly bluetooth: boolean;
  /** Such as `/dev/ttyUSB0`. */
  readonly serialPorts: readonly string[];
}

/** Looks through the connectors for devices of this machine, also those of extensions. */
export function needsOf(
  connectors: readonly Pick<LoadedConnector, "type" | "raw" | "config">[],
): MachineNeeds {
  const serialPorts = new Set<string>();
  let bluetooth = false;
  for (const { type, raw, config } of connectors) {
    const value: unknown = config ?? raw;
    collectPorts(value, serialPorts);
    bluetooth ||= type === "ble" && usesOwnAdapter(value);
  }
  return { bluetooth, serialPorts: [...serialPorts].sort() };
}

/** `tcp:` and `serial:` are adapters that the kernel does not manage. */
function usesOwnAdapter(config: unknown): boolean {
  const adapter =
    typeof config === "object" && config !== null && "adapter" in config ? config.adapter : "hci0";
  return typeof adapter !== "string" || !/^(?:tcp|serial):/.test(adapter);
}

function collectPorts(value: unknown, found: Set<string>): void {
  if (typeof value === "string") {
    const port = /^(?:serial:)?(\/dev\/[^\s@]+)/.exec(value)?.[1];
    if (port !== undefined) {
      found.add(port);
    }
  } else if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) {
      collectPorts(inner, found);
    }
  }
}

/**
 * The groups that may use serial ports: the one each device has, else the usual one of the system. `groupFile` is the text of
 * `/etc/group`.
 */
export function serialGroups(ports: readonly string[], groupFile: string): readonly string[] {
  const groups = new Map<string, number>();
  for (const line of groupFile.split("\n")) {
    const [name = "", , id = ""] = line.split(":");
    if (name !== "") {
      groups.set(name, Number(id));
    }
  }
  const usual = ["dialout", "uucp"].find((name) => groups.has(name));
  const found = new Set<string>();
  for (const port of ports) {
    const id = existsSync(port) ? statSync(port).gid : 0;
    const own = [...groups].find(([, one]) => one === id)?.[0];
    // A device of root's group alone says nothing: it is a name that is not there yet, or not a serial port.
    const group = id === 0 ? usual : own;
    if (group !== undefined) {
      found.add(group);
    }
  }
  return [...found].sort();
}

/** The first service manager that runs this machine, or is part of the image under `root`. */
export function detectKind(root: string): ServiceKind | undefined {
  const has = (path: string): boolean => existsSync(join(root, path));
  if (root === "/" ? has("/run/systemd/system") : has("/lib/systemd/systemd")) {
    return "systemd";
  }
  if (root === "/" ? has("/run/openrc/softlevel") : has("/sbin/openrc-run")) {
    return "openrc";
  }
  const cron = ["/etc/cron.d", "/usr/bin/crontab", "/bin/crontab"];
  return cron.some(has) ? "cron" : undefined;
}

/** A path, user or file name that means the same in a shell, a unit and a crontab, unquoted. */
export function isPlain(text: string): boolean {
  return /^[\w./@+:,-]+$/.test(text);
}

const RECORD = "# tbgw-service: ";

/** The line of a service's file that says what it was installed with. */
export function recordLine(plan: ServicePlan): string {
  return `${RECORD}${JSON.stringify(plan)}`;
}

/** What a service's file was installed with; `undefined` when it is not ours. */
export function readRecord(text: string): ServicePlan | undefined {
  const line = text.split("\n").find((one) => one.startsWith(RECORD));
  if (line === undefined) {
    return undefined;
  }
  try {
    const value: unknown = JSON.parse(line.slice(RECORD.length));
    return isPlan(value) ? value : undefined;
  } catch {
    return undefined; // Somebody edited it.
  }
}

function isPlan(value: unknown): value is ServicePlan {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  const texts = ["user", "binary", "configDir", "dataDir"];
  const record = new Map<string, unknown>(Object.entries(value));
  return (
    texts.every((key) => typeof record.get(key) === "string") &&
    SERVICE_KINDS.some((kind) => kind === record.get("kind")) &&
    typeof record.get("bluetooth") === "boolean" &&
    Array.isArray(record.get("groups"))
  );
}
