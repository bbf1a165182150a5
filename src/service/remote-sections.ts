import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { formatPath, parseConfig } from "#sdk/config";
import { ConfigError, type ConfigIssue } from "#sdk/errors";
import { isJsonObject, type Json } from "#sdk/model";
import { canonical, fileText, type JsonRecord, plain, without } from "../config/canonical.ts";
import type { LoadedConfiguration } from "../config/load.ts";
import { statisticsCommands } from "../config/statistics.ts";
import { isYaml, readDocument } from "../config/text-file.ts";
import type { ChangedFiles } from "./configurator.ts";
import { foreignReferences } from "./remote-references.ts";

/** The parts of the main file that the platform knows by an attribute of their own. */
export type Section = "thingsboard" | "storage" | "grpc";

/** What the platform shows of a gRPC server that the file does not mention. */
const GRPC_DEFAULT: JsonRecord = {
  enabled: false,
  serverPort: 9595,
  keepAliveTimeMs: 10_001,
  keepAliveTimeoutMs: 5000,
  keepAlivePermitWithoutCalls: true,
  maxPingsWithoutData: 0,
  minTimeBetweenPingsMs: 10_000,
  minPingIntervalWithoutDataMs: 5000,
};
const STATISTICS_FILE = "statistics.json";
/** How a connection is secured rather than who connects: keys that the platform's form does not know. */
const KEPT_SECURITY = ["insecure", "checkCertPeriod", "certificateDaysLeft"] as const;

/** The main file as an object, to be rewritten. @throws ConfigError for one that is not rewritten */
export function mainOf({ mainFile, raw }: LoadedConfiguration): JsonRecord {
  if (isYaml(mainFile)) {
    const message = "the file is YAML and is not rewritten: save it as tb_gateway.json first";
    throw new ConfigError(mainFile, [{ path: "$", message }]);
  }
  if (!isJsonObject(raw)) {
    throw new ConfigError(mainFile, [{ path: "$", message: "the file cannot be read" }]);
  }
  return raw;
}

/** `general_configuration` without `ts`: the file's own text, references unresolved, nothing from the environment. */
export function publishedGeneral(loaded: LoadedConfiguration): JsonRecord {
  const { statistics } = loaded.gateway.thingsboard;
  const { enable, enableCustom = enable, configuration = STATISTICS_FILE } = statistics;
  const { statsSendPeriodInSeconds, customStatsSendPeriodInSeconds } = statistics;
  return {
    ...sectionOf(loaded, "thingsboard"),
    statistics: {
      ...recordOf(sectionOf(loaded, "thingsboard")["statistics"]),
      enable,
      enableCustom,
      statsSendPeriodInSeconds,
      customStatsSendPeriodInSeconds,
      configuration,
      commands: commandsOf(loaded, configuration),
    },
  };
}

/** `storage_configuration` without `ts`. */
export function publishedStorage(loaded: LoadedConfiguration): JsonRecord {
  const section = sectionOf(loaded, "storage");
  return Object.keys(section).length === 0 ? { type: "sqlite" } : section;
}

/** `grpc_configuration` without `ts`. */
export function publishedGrpc(loaded: LoadedConfiguration): JsonRecord {
  const section = sectionOf(loaded, "grpc");
  return Object.keys(section).length === 0 ? GRPC_DEFAULT : section;
}

/** The files that a pushed `storage_configuration` or `grpc_configuration` changes; merged key by key. */
export function sectionFiles(
  loaded: LoadedConfiguration,
  section: "storage" | "grpc",
  pushed: JsonRecord,
): ChangedFiles {
  const present = section === "storage" ? publishedStorage(loaded) : publishedGrpc(loaded);
  const content = recordOf(plain(without(pushed, "ts")));
  refuse(loaded, section, foreignReferences(content, present));
  const merged = { ...present, ...content };
  if (canonical(merged) === canonical(present)) {
    return new Map();
  }
  return new Map([[loaded.mainFile, fileText({ ...mainOf(loaded), [section]: merged })]]);
}

/** The files that a pushed `general_configuration` changes. @throws ConfigError for what may not be pushed */
export function generalFiles(loaded: LoadedConfiguration, pushed: JsonRecord): ChangedFiles {
  const content = recordOf(plain(without(pushed, "ts")));
  const present = publishedGeneral(loaded);
  if (canonical(content) === canonical(present)) {
    return new Map();
  }
  refuse(loaded, "thingsboard", foreignReferences(content, present));
  const files = new Map<string, string>();
  const before = sectionOf(loaded, "thingsboard");
  const merged: Record<string, Json> = { ...mergeDeep(before, without(content, "security")) };
  if (isJsonObject(content["security"])) {
    merged["security"] = mergeSecurity(recordOf(before["security"]), content["security"], (pem) => {
      const file = certificateFile(loaded, pem);
      files.set(file, pem);
      return file;
    });
  }
  if (isJsonObject(content["statistics"])) {
    const { statistics } = content;
    merged["statistics"] = without(recordOf(merged["statistics"]), "commands");
    const { configuration, commands } = statistics;
    const file = statisticsFile(loaded, configuration);
    const isMissing = !existsSync(file);
    if (isMissing || canonical(commands) !== canonical(commandsOf(loaded, configuration))) {
      refuse(loaded, "thingsboard", commandIssues(commands ?? []));
      files.set(file, fileText(commands ?? []));
    }
  }
  if (canonical(merged) !== canonical(before)) {
    files.set(loaded.mainFile, fileText({ ...mainOf(loaded), thingsboard: merged }));
  }
  return files;
}

/** Objects key by key, everything else as a whole. */
function mergeDeep(before: JsonRecord, after: JsonRecord): JsonRecord {
  const merged: Record<string, Json> = { ...before };
  for (const [key, value] of Object.entries(after)) {
    const old = merged[key];
    merged[key] = isJsonObject(value) && isJsonObject(old) ? mergeDeep(old, value) : value;
  }
  return merged;
}

/** Who connects is replaced as a whole, so that nothing of other credentials stays; how it is secured stays unless said. */
function mergeSecurity(
  before: JsonRecord,
  after: JsonRecord,
  saveCertificate: (pem: string) => string,
): JsonRecord {
  const sameType = before["type"] === after["type"];
  const keys: readonly string[] = sameType ? [...KEPT_SECURITY, "tls"] : KEPT_SECURITY;
  const kept = Object.fromEntries(Object.entries(before).filter(([key]) => keys.includes(key)));
  const { caCert } = after;
  const pem = typeof caCert === "string" && caCert.includes("-----BEGIN") ? caCert : undefined;
  const saved = pem === undefined ? {} : { caCert: saveCertificate(pem) };
  const merged = { ...kept, ...after, ...saved };
  const { type } = after;
  const foreign = typeof type === "string" ? FOREIGN_CREDENTIALS.get(type) : undefined;
  return without(merged, ...(foreign ?? []));
}

/** Left over by the platform's form when the type was changed. */
const FOREIGN_CREDENTIALS: ReadonlyMap<string, readonly string[]> = new Map([
  ["accessToken", ["clientId", "username", "password"]],
  ["usernamePassword", ["accessToken"]],
]);

/** Named after its content: the one in use stays until the other has proven itself. */
function certificateFile({ dataDir }: LoadedConfiguration, pem: string): string {
  const name = createHash("sha256").update(pem).digest("hex").slice(0, 12);
  return resolve(dataDir, `ca-${name}.pem`);
}

function commandsOf(loaded: LoadedConfiguration, name: Json | undefined): Json {
  const file = resolve(loaded.configDir, typeof name === "string" ? name : STATISTICS_FILE);
  const value = readDocument(file).document?.value;
  return Array.isArray(value) ? value : [];
}

function commandIssues(commands: Json): readonly ConfigIssue[] {
  const { issues } = parseConfig(statisticsCommands, commands);
  return issues
    .filter(({ severity }) => severity === "error")
    .map(({ path, message }) => ({
      path: `statistics.commands${formatPath(path).replace("$", "")}`,
      message,
    }));
}

function statisticsFile(loaded: LoadedConfiguration, name: Json | undefined): string {
  const present = loaded.gateway.thingsboard.statistics.configuration ?? STATISTICS_FILE;
  const wanted = typeof name === "string" && name !== "" ? name : present;
  if (wanted !== present) {
    const taken = loaded.connectors.some(({ file }) => file === resolve(loaded.configDir, wanted));
    const problem = taken ? "the file belongs to a connector" : fileNameProblem(wanted);
    if (problem !== undefined) {
      refuse(loaded, "thingsboard", [{ path: "statistics.configuration", message: problem }]);
    }
  }
  return resolve(loaded.configDir, wanted);
}

/** Files that are no connector's and no list of commands. */
const RESERVED = new Set(["tb_gateway.json", "tb_gateway.yaml", "logs.json", ".credentials"]);

/** Why the platform may not name a file so; the name must be one in the configuration directory, and stay there. */
export function fileNameProblem(name: string): string | undefined {
  if (!/^[^/\\.\0][^/\\\0]*$/.test(name) || name.length > 200) {
    return `"${name}" is not the plain name of a file in the configuration directory`;
  }
  return RESERVED.has(name.toLowerCase()) ? `"${name}" is another file of the gateway` : undefined;
}

function sectionOf({ raw }: LoadedConfiguration, section: Section): JsonRecord {
  return without(recordOf(isJsonObject(raw) ? raw[section] : undefined), "ts");
}

function recordOf(value: Json | undefined): JsonRecord {
  return isJsonObject(value) ? value : {};
}

/** @throws ConfigError when there are issues; their paths start at the section */
function refuse(
  loaded: LoadedConfiguration,
  section: Section,
  issues: readonly ConfigIssue[],
): void {
  if (issues.length > 0) {
    const placed = issues.map(({ path, message }) => ({ path: `${section}.${path}`, message }));
    throw new ConfigError(loaded.mainFile, placed);
  }
}
