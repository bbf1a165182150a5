import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { ConfigError } from "#sdk/errors";
import { isJsonObject, type Json } from "#sdk/model";
import { canonical, fileText, type JsonRecord, plain, without } from "../config/canonical.ts";
import { connectorId } from "../config/connector-id.ts";
import type { LoadedConnector } from "../config/connectors.ts";
import type { LoadedConfiguration } from "../config/load.ts";
import { isYaml } from "../config/text-file.ts";
import type { ChangedFiles } from "./configurator.ts";
import { foreignReferences } from "./remote-references.ts";
import { fileNameProblem, mainOf } from "./remote-sections.ts";

/** Keys of a connector file that stand beside `configurationJson` in the platform's object. */
const BESIDE = ["logLevel", "enableRemoteLogging", "reportStrategy", "configVersion"] as const;
const LOG_LEVELS: readonly string[] = [
  "TRACE",
  "DEBUG",
  "INFO",
  "WARNING",
  "WARN",
  "ERROR",
  "CRITICAL",
  "NONE",
  "NOTSET",
];

/** A connector as the platform pushes it. */
interface PushedConnector extends JsonRecord {
  readonly name: string;
  readonly type: string;
  readonly configurationJson: JsonRecord;
}

/** Whether an attribute is a connector rather than something a user keeps there for himself. */
export function isConnectorObject(value: Json | undefined): value is PushedConnector {
  return (
    isJsonObject(value) &&
    typeof value["name"] === "string" &&
    typeof value["type"] === "string" &&
    isJsonObject(value["configurationJson"])
  );
}

/** The attribute of a connector, without `ts`; `undefined` for a file that cannot be shown as an object. */
export function publishedConnector(connector: LoadedConnector): JsonRecord | undefined {
  const { name, type, raw, entry, id } = connector;
  if (!isJsonObject(raw)) {
    return undefined;
  }
  const { reportStrategy, configVersion } = raw;
  const logLevel = raw["logLevel"] ?? "INFO";
  const enableRemoteLogging = raw["enableRemoteLogging"] ?? false;
  return {
    name,
    type,
    configuration: entry.configuration,
    id,
    ...(configVersion === undefined ? {} : { configVersion }),
    ...(entry.class === undefined ? {} : { class: entry.class }),
    configurationJson: without(raw, ...BESIDE),
    logLevel,
    enableRemoteLogging,
    ...(reportStrategy === undefined ? {} : { reportStrategy }),
  };
}

/**
 * The acknowledgement: the object as it came. As the platform's editor expects it, the report strategy stays inside
 * `configurationJson` for Modbus alone.
 */
export function acknowledged(pushed: PushedConnector): JsonRecord {
  return pushed.type.toLowerCase() === "modbus"
    ? pushed
    : { ...pushed, configurationJson: without(pushed.configurationJson, "reportStrategy") };
}

/** The connector that a pushed object means: by id, else by name. */
export function matching(
  { connectors }: LoadedConfiguration,
  pushed: PushedConnector,
): LoadedConnector | undefined {
  const id = givenId(pushed);
  const sameId = id === undefined ? undefined : connectors.find((one) => one.id === id);
  return sameId ?? connectors.find(({ name }) => name === pushed.name);
}

/** The files that a pushed connector changes: its own, and the main file where its entry does. @throws ConfigError */
export function connectorFiles(loaded: LoadedConfiguration, pushed: PushedConnector): ChangedFiles {
  const present = matching(loaded, pushed);
  const configuration = present?.entry.configuration ?? freeFile(loaded, pushed);
  const file = resolve(loaded.configDir, configuration);
  if (isYaml(file)) {
    throw refused(file, "the file is YAML and is not rewritten: save it as JSON first");
  }
  refuseOdd(loaded, pushed, present);
  const content = contentOf(pushed, present);
  const references = foreignReferences(content, present?.raw);
  if (references.length > 0) {
    throw new ConfigError(file, references);
  }
  const files = new Map<string, string>();
  const before = isJsonObject(present?.raw) ? present.raw : undefined;
  if (!isSameContent(content, before, present) || needsId(pushed, before, present)) {
    files.set(file, fileText(content));
  }
  const main = mainOf(loaded);
  const list = Array.isArray(main["connectors"]) ? main["connectors"] : [];
  const entries = withEntry(list, present, entryOf(pushed, present, configuration));
  if (canonical(entries) !== canonical(list)) {
    files.set(loaded.mainFile, fileText({ ...main, connectors: entries }));
  }
  return files;
}

/** Whether a connector made from `content` would be the one that is there. */
function isSameContent(
  content: JsonRecord,
  before: JsonRecord | undefined,
  present: LoadedConnector | undefined,
): boolean {
  return (
    before !== undefined &&
    content["id"] === present?.id &&
    canonical(comparable(content)) === canonical(comparable(before))
  );
}

/** The entry of the main file names the connector, and what is not said has its default. */
function comparable(content: JsonRecord): JsonRecord {
  const rest = without(content, "name", "id", "configVersion");
  return { logLevel: "INFO", enableRemoteLogging: false, ...rest };
}

/** An id that is made from the name must be written down before the name changes. */
function needsId(
  pushed: PushedConnector,
  before: JsonRecord | undefined,
  present: LoadedConnector | undefined,
): boolean {
  return present?.name !== pushed.name && before?.["id"] === undefined;
}

/** The main file without the connectors that are not among `names`; their files stay. */
export function activeFiles(loaded: LoadedConfiguration, names: readonly string[]): ChangedFiles {
  const main = mainOf(loaded);
  const list = Array.isArray(main["connectors"]) ? main["connectors"] : [];
  const left = list.filter(
    (entry: Json) => nameOf(entry) === undefined || names.includes(nameOf(entry) ?? ""),
  );
  return left.length === list.length
    ? new Map()
    : new Map([[loaded.mainFile, fileText({ ...main, connectors: left })]]);
}

function nameOf(entry: Json): string | undefined {
  const name = isJsonObject(entry) ? entry["name"] : undefined;
  return typeof name === "string" ? name : undefined;
}

/** @throws ConfigError for an object that cannot be a connector of this gateway */
function refuseOdd(
  loaded: LoadedConfiguration,
  pushed: PushedConnector,
  present: LoadedConnector | undefined,
): void {
  const { name, logLevel, enableRemoteLogging } = pushed;
  const what = `connector "${name}"`;
  if (name === "" || pushed.type.trim() === "") {
    throw refused(what, "name and type must not be empty");
  }
  if (loaded.connectors.some((other) => other.name === name && other !== present)) {
    throw refused(what, "another connector has this name", "name");
  }
  const isLevel = typeof logLevel === "string" && LOG_LEVELS.includes(logLevel.toUpperCase());
  if (logLevel !== undefined && !isLevel) {
    throw refused(what, `must be one of ${LOG_LEVELS.join(", ")}`, "logLevel");
  }
  if (enableRemoteLogging !== undefined && typeof enableRemoteLogging !== "boolean") {
    throw refused(what, "must be true or false", "enableRemoteLogging");
  }
}

/** What the connector's file will hold. */
function contentOf(pushed: PushedConnector, present: LoadedConnector | undefined): JsonRecord {
  const before = isJsonObject(present?.raw) ? present.raw : {};
  const { name, type, reportStrategy, configVersion } = pushed;
  const defaults = { logLevel: "INFO", enableRemoteLogging: false, ...before };
  const { logLevel = defaults.logLevel } = pushed;
  const { enableRemoteLogging = defaults.enableRemoteLogging } = pushed;
  const content = plain({
    ...pushed.configurationJson,
    logLevel,
    name,
    enableRemoteLogging,
    id: givenId(pushed) ?? present?.id ?? connectorId(type.trim().toLowerCase(), name),
    ...(reportStrategy === undefined ? {} : { reportStrategy }),
    ...(configVersion === undefined ? {} : { configVersion }),
  });
  return isJsonObject(content) ? content : {};
}

function givenId({ configurationJson, id }: PushedConnector): string | undefined {
  const given = configurationJson["id"] ?? id;
  return typeof given === "string" && given !== "" ? given : undefined;
}

/** Keys that the platform does not know stay. */
function entryOf(
  pushed: PushedConnector,
  present: LoadedConnector | undefined,
  configuration: string,
): JsonRecord {
  const { name, type, class: className, key } = pushed;
  const isSameType = present?.type === type.trim().toLowerCase();
  return {
    ...(isSameType ? {} : { type }),
    name,
    configuration,
    ...(className === undefined || className === "" ? {} : { class: className }),
    ...(key === undefined ? {} : { key }),
  };
}

function withEntry(
  list: readonly Json[],
  present: LoadedConnector | undefined,
  entry: JsonRecord,
): readonly Json[] {
  let isPlaced = false;
  const entries = list.map((old): Json => {
    if (isPlaced || present === undefined || !isJsonObject(old) || old["name"] !== present.name) {
      return old;
    }
    isPlaced = true;
    return { ...old, ...entry };
  });
  return isPlaced ? entries : [...entries, entry];
}

/** The file of a connector that is not there yet. @throws ConfigError for a name that leads elsewhere */
function freeFile(loaded: LoadedConfiguration, pushed: PushedConnector): string {
  const { configuration, name } = pushed;
  const fallback = `${name.toLowerCase().replaceAll(/[^\p{L}\p{N}._-]+/gu, "_")}.json`;
  const wanted =
    typeof configuration === "string" && configuration !== "" ? configuration : fallback;
  const problem = fileNameProblem(wanted);
  if (problem !== undefined) {
    throw refused(`connector "${name}"`, problem, "configuration");
  }
  const file = /\.(?:json|ya?ml)$/i.test(wanted) ? wanted : `${wanted}.json`;
  const { statistics, deviceFiltering } = loaded.gateway.thingsboard;
  const taken = new Set(
    [statistics.configuration, deviceFiltering.filterFile].map((one) => one ?? ""),
  );
  const isTaken = (candidate: string): boolean =>
    taken.has(candidate) ||
    loaded.connectors.some((other) => other.file === resolve(loaded.configDir, candidate));
  let free = file;
  for (let index = 2; isTaken(free); index += 1) {
    free = `${index}_${file}`;
  }
  // A file that nobody uses was this connector's, or one like it: its content is kept as a revision.
  return existsSync(resolve(loaded.configDir, free)) && isYaml(free) ? `${free}.json` : free;
}

function refused(file: string, message: string, path = "$"): ConfigError {
  return new ConfigError(file, [{ path, message }]);
}
