import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { errorText } from "#sdk/errors";
import type { ServiceHost } from "./service-host.ts";
import type { ServicePlan } from "./service-plan.ts";
import { cronOutputFile, logFile } from "./service-texts.ts";

/** The end of a log. */
export interface LogTail {
  readonly name: string;
  readonly text: string;
}

/** The last lines of a file, `maxBytes` at most; "" when it cannot be read. */
export function tailOf(path: string, maxBytes: number): string {
  try {
    const fd = openSync(path, "r");
    try {
      const { size } = fstatSync(fd);
      const bytes = Buffer.alloc(Math.min(size, maxBytes));
      const count = readSync(fd, bytes, 0, bytes.length, size - bytes.length);
      const text = bytes.toString("utf8", 0, count);
      return size > maxBytes ? text.slice(text.indexOf("\n") + 1) : text;
    } finally {
      closeSync(fd);
    }
  } catch {
    return "";
  }
}

/** What a service has written last, wherever its manager keeps that. Never throws. */
export async function serviceTails(
  plan: ServicePlan,
  host: ServiceHost,
  maxBytes: number,
): Promise<readonly LogTail[]> {
  if (plan.kind === "systemd") {
    return [{ name: "journal.log", text: await journal(host, maxBytes) }];
  }
  const output = plan.kind === "openrc" ? "/var/log/tbgw.output" : cronOutputFile(plan);
  const files = [
    ["output.log", output],
    ["tbgw.log", logFile(plan)],
    ["tbgw.log.1", `${logFile(plan)}.1`],
  ] as const;
  return files
    .map(([name, path]) => ({ name, text: tailOf(path, maxBytes) }))
    .filter(({ text }) => text !== "");
}

async function journal(host: ServiceHost, maxBytes: number): Promise<string> {
  try {
    const argv = [
      "journalctl",
      "-u",
      "tbgw.service",
      "-n",
      "2000",
      "--no-pager",
      "-o",
      "short-iso",
    ];
    const { stdout } = await host.ask(argv);
    return stdout.slice(-maxBytes);
  } catch (error) {
    return `${errorText(error)}\n`;
  }
}

/** Files in a folder and below that look like logs, by name from there. */
export function logFilesIn(folder: string): readonly string[] {
  if (!existsSync(folder)) {
    return [];
  }
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.log(?:\.[\w.-]+)?$/.test(name))
    .map((name) => join(folder, name));
}
