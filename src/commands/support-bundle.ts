import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import { isJsonObject } from "#sdk/model";
import type { Environment } from "../config/directories.ts";
import { gatewayConfig } from "../config/gateway.ts";
import { type LoadedConfiguration, loadConfiguration } from "../config/load.ts";
import { redact } from "../config/redact.ts";
import { isSchema } from "../config/references.ts";
import { readDocument } from "../config/text-file.ts";
import { connectorTypes } from "../connector/registry.ts";
import { askGateway } from "../service/status-client.ts";
import type { ConnectorReport, StatusReport } from "../service/status-protocol.ts";
import { VERSION } from "../version.ts";
import { check } from "./check.ts";
import type { ServiceHost } from "./service-host.ts";
import { serviceLines } from "./service-install.ts";
import { logFilesIn, serviceTails, tailOf } from "./service-logs.ts";
import { storeInfo } from "./store.ts";
import { listing, machineFacts, variablesSet } from "./support-machine.ts";
import { Redaction } from "./support-redact.ts";
import type { ArchiveFile } from "./tar.ts";

/** The end of each log that goes into a bundle, and how many there are. */
const TAIL_BYTES = 256 * 1024;
const MAX_LOGS = 40;
/** Devices that are listed. */
const MAX_DEVICES = 1000;
/** A name in a tar archive has 100 bytes, some of them for the folder. */
const MAX_NAME = 64;

/** What a bundle is made from. */
export interface SupportOptions {
  readonly configDir: string | undefined;
  readonly dataDir: string;
  readonly env: Environment;
  readonly cwd: string;
  readonly clock: Clock;
  readonly host: ServiceHost;
}

/** Collects what helps to find a fault. A part that cannot be had says why; none holds a secret. Never throws. */
export async function supportFiles(options: SupportOptions): Promise<readonly ArchiveFile[]> {
  const { configDir, env, cwd, dataDir } = options;
  const redaction = new Redaction();
  const loaded = await loadConfiguration({ configDir, dataDir, env, cwd, connectorTypes });
  redaction.add(loaded.secrets);
  learnFromFolders([loaded.configDir, join(dataDir, "backup")], redaction);
  const parts: Readonly<Record<string, () => string | Promise<string>>> = {
    "version.txt": () => `tbgw ${VERSION}, Bun ${Bun.version}\n`,
    "machine.json": () => json(machineFacts(dataDir)),
    "variables.json": () => json(variablesSet(env)),
    "service.json": async () => json(await serviceLines(env, options.host)),
    "files.txt": () => listing(loaded.configDir) + listing(dataDir),
    "check.txt": async () => (await checked(options)).text,
    "status.json": async () => json(await status(options)),
    "connectors.json": async () => json(await connectors(options)),
    "store.json": () => json(store(dataDir)),
  };
  const files: ArchiveFile[] = [];
  for (const [name, make] of Object.entries(parts)) {
    files.push({ name, text: await textOr(make) });
  }
  files.push(...configFiles(loaded), ...logs(loaded, options));
  for (const { plan } of await serviceLines(env, options.host)) {
    const tails = await serviceTails(plan, options.host, TAIL_BYTES);
    files.push(...tails.map(({ name, text }) => ({ name: `service-${plan.kind}/${name}`, text })));
  }
  return files.map(({ name, text }) => ({
    name: name.replaceAll(/[^\w./@-]/g, "_").slice(-MAX_NAME),
    text: redaction.clean(text),
  }));
}

async function textOr(make: () => string | Promise<string>): Promise<string> {
  try {
    return await make();
  } catch (error) {
    return `${errorText(error)}\n`;
  }
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

async function checked(options: SupportOptions) {
  return await check(
    { ...options, connectorTypes },
    { strict: false, json: false, explain: false },
  );
}

async function status({ dataDir, clock }: SupportOptions): Promise<StatusReport> {
  return await askGateway<StatusReport>(dataDir, { get: "status", devices: MAX_DEVICES }, clock);
}

async function connectors(options: SupportOptions): Promise<readonly ConnectorReport[]> {
  const { dataDir, clock } = options;
  const reports: ConnectorReport[] = [];
  for (const { name } of (await status(options)).connectors) {
    reports.push(await askGateway<ConnectorReport>(dataDir, { get: "connector", name }, clock));
  }
  return reports;
}

/** Records in quarantine are a customer's data: their size must do. */
function store(dataDir: string): unknown {
  const info = storeInfo(dataDir);
  const quarantine = info.quarantine.map(({ record, ...entry }) => ({
    ...entry,
    recordBytes: Buffer.byteLength(record),
  }));
  return { ...info, quarantine };
}

/** Every file of the configuration as it is on disk, redacted by its schema and by the names of its keys. */
function configFiles(loaded: LoadedConfiguration): readonly ArchiveFile[] {
  const files = new Map<string, unknown>();
  const add = (file: string, raw: unknown, schema: unknown): void => {
    const bySchema = isSchema(schema) ? redact(raw, schema) : raw;
    files.set(file, raw === undefined ? undefined : redact(bySchema, undefined));
  };
  add(loaded.mainFile, loaded.raw, gatewayConfig);
  for (const { file, raw, definition } of loaded.connectors) {
    // The file of a type that nothing here runs has not been read.
    add(file, raw ?? readDocument(file).document?.value, definition?.schema);
  }
  for (const name of jsonFilesIn(loaded.configDir)) {
    const file = join(loaded.configDir, name);
    if (!files.has(file)) {
      add(file, readDocument(file).document?.value, undefined);
    }
  }
  return [...files].map(([file, value]) => ({
    name: `config/${inside(loaded.configDir, file)}`,
    text:
      value === undefined
        ? "It cannot be read as JSON or YAML, so nothing of it is here: see check.txt.\n"
        : json(value),
  }));
}

function inside(folder: string, file: string): string {
  const name = relative(folder, file);
  return name.startsWith("..") ? basename(file) : name;
}

function jsonFilesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => /\.(?:json|ya?ml)$/i.test(name));
  } catch {
    return []; // The check says that the folder is not there.
  }
}

/** Also secrets that only an earlier content of a file has: they may be in old logs. */
function learnFromFolders(folders: readonly string[], redaction: Redaction): void {
  for (const folder of folders) {
    let names: readonly string[] = [];
    try {
      names = readdirSync(folder, { recursive: true, encoding: "utf8" });
    } catch {
      continue; // There is none.
    }
    for (const name of names.filter((one) => /\.(?:json|ya?ml|local|remote)$/i.test(one))) {
      const value: unknown = readDocument(join(folder, name)).document?.value;
      redaction.learn(value);
    }
  }
}

/** The ends of the newest logs: those that logs.json names, and what is in the data directory. */
function logs(loaded: LoadedConfiguration, { dataDir }: SupportOptions): readonly ArchiveFile[] {
  const found = new Set(logFilesIn(dataDir));
  for (const path of loggedFiles(loaded, dataDir)) {
    const folder = loaded.logsDir ?? dirname(path);
    const ours = (file: string): boolean =>
      basename(file).startsWith(basename(path)) || /_con(?:nector|verter)\.log/.test(file);
    for (const file of logFilesIn(folder).filter(ours)) {
      found.add(file);
    }
  }
  const newest = [...found]
    .map((file) => ({ file, time: statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((one, other) => other.time - one.time)
    .slice(0, MAX_LOGS);
  return newest.map(({ file }) => ({
    name: `logs/${inside(dataDir, file).replace(/^logs\//, "")}`,
    text: tailOf(file, TAIL_BYTES),
  }));
}

function loggedFiles({ logs: { raw } }: LoadedConfiguration, dataDir: string): readonly string[] {
  const handlers = isJsonObject(raw) ? raw["handlers"] : undefined;
  return isJsonObject(handlers)
    ? Object.values(handlers).flatMap((handler) => {
        const name = isJsonObject(handler) ? handler["filename"] : undefined;
        return typeof name === "string" ? [resolve(dataDir, name)] : [];
      })
    : [];
}
