import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type ParseIssue, parseConfig } from "#sdk/config";
import { ConfigError, errorText } from "#sdk/errors";
import type { LogLevel } from "#sdk/logger";
import type { Json, ReportStrategy } from "#sdk/model";
import { nearest } from "#sdk/nearest";
import type { ConnectorDefinition, connectorTypes } from "../connector/registry.ts";
import { loadConnectorFile } from "./connector-file.ts";
import { connectorId } from "./connector-id.ts";
import type { Document } from "./document.ts";
import { type ConnectorEntry, connectorEntry } from "./gateway.ts";
import { type FileIssue, located, type Path } from "./issue.ts";
import type { ReferenceSources } from "./references.ts";
import type { Overlay } from "./text-file.ts";

/** The connectors inside the program, by type. */
export type ConnectorTypes = typeof connectorTypes;

/** What every entry of `connectors` comes to, usable or not. */
interface EntryFacts {
  readonly entry: ConnectorEntry;
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** Absolute path of the connector's file. */
  readonly file: string;
  readonly logLevel: LogLevel;
  readonly enableRemoteLogging: boolean;
  /** The connector's own report strategy; `undefined` means the gateway's. */
  readonly reportStrategy: ReportStrategy | undefined;
  /** The file's content as it is there, references unresolved; `undefined` when it could not be read. */
  readonly raw: Json | undefined;
  /** What is wrong with this entry and its file. */
  readonly issues: readonly FileIssue[];
}

/** The file that a definition comes from. */
export type ExtensionOrigin = Pick<FoundConnector, "file" | "sha256">;

/** A connector that can start. Its issues are mistakes that cost it something, or warnings. */
export interface ReadyConnector extends EntryFacts {
  readonly state: "ready";
  readonly definition: ConnectorDefinition;
  /** The file of the extension that the definition is from; `undefined`: it is inside the program. */
  readonly extension: ExtensionOrigin | undefined;
  /** Parsed by the definition's schema, `id` and `name` included, and frozen. */
  readonly config: unknown;
  /** What the schema was given, for a thread that parses it once more. */
  readonly input: unknown;
}

/** A connector that cannot start: its file is wrong (`invalid`), or nothing here runs it (`skipped`). */
export interface UnusableConnector extends EntryFacts {
  readonly state: "invalid" | "skipped";
  readonly definition: ConnectorDefinition | undefined;
  readonly config: undefined;
}

/** One entry of `connectors` with its file. */
export type LoadedConnector = ReadyConnector | UnusableConnector;

/** A connector definition of an extension, and its file. */
export interface FoundConnector {
  readonly definition: ConnectorDefinition;
  /** Absolute path. */
  readonly file: string;
  readonly sha256: string;
}

/** Where connector definitions of extensions come from. */
export interface ConnectorExtensions {
  /**
   * The definition for an entry of this type and `class`; `isBuiltin`: only one that overrides what is inside the program.
   * @throws ConfigError when there are several, or when a file that may have it cannot be used
   */
  find(
    kind: "connector",
    type: string,
    name: string | undefined,
    options: { readonly isBuiltin: boolean },
  ): Promise<FoundConnector | undefined>;
  /** Names of classes that extensions provide for a type, as far as known. */
  known(kind: "connector", type: string): readonly string[];
}

/** No extensions at all. */
export const NO_EXTENSIONS: ConnectorExtensions = {
  find: async () => await Promise.resolve(undefined),
  known: () => [],
};

/** What the entries of `connectors` are loaded with. */
export interface ConnectorLoading extends ReferenceSources {
  readonly connectorTypes: ConnectorTypes;
  readonly extensions: ConnectorExtensions;
  readonly mainFile: string;
  readonly document: Pick<Document, "lineOf">;
  readonly overlay?: Overlay | undefined;
}

/** Types of the Python gateway, of which some are not part of this program. */
const UPSTREAM_TYPES: readonly string[] = [
  "mqtt",
  "modbus",
  "opcua",
  "ble",
  "request",
  "can",
  "bacnet",
  "odbc",
  "rest",
  "snmp",
  "ftp",
  "socket",
  "xmpp",
  "ocpp",
  "knx",
  "grpc",
];

/**
 * Loads the entries of `connectors`, each by itself: what is wrong with one never costs another. An entry without type,
 * name or file is left out; the check of the main file has reported it. `secrets` are the values of all secret fields.
 */
export async function loadConnectors(
  list: unknown,
  loading: ConnectorLoading,
): Promise<{
  readonly connectors: readonly LoadedConnector[];
  readonly secrets: readonly string[];
}> {
  const connectors: LoadedConnector[] = [];
  const secrets: string[] = [];
  for (const [index, element] of (Array.isArray(list) ? list : []).entries()) {
    const entry = parseConfig(connectorEntry, element).value;
    if (entry === undefined) {
      continue;
    }
    const loaded = await loadEntry({ entry, path: ["connectors", index] }, connectors, loading);
    connectors.push(loaded.connector);
    secrets.push(...loaded.secrets);
  }
  return { connectors, secrets };
}

interface PlacedEntry {
  readonly entry: ConnectorEntry;
  readonly path: Path;
}

interface LoadedEntry {
  readonly connector: LoadedConnector;
  readonly secrets: readonly string[];
}

async function loadEntry(
  placed: PlacedEntry,
  earlier: readonly LoadedConnector[],
  loading: ConnectorLoading,
): Promise<LoadedEntry> {
  const { entry, path } = placed;
  if (earlier.some((other) => other.name === entry.name)) {
    const message = `another connector has the name "${entry.name}" already: this one is left out`;
    const issue = located(loading.mainFile, loading.document, error([...path, "name"], message));
    return { connector: unusable(entry, "invalid", issue, loading), secrets: [] };
  }
  const found = await findDefinition(placed, loading);
  if (found.definition === undefined) {
    const issue = located(loading.mainFile, loading.document, found.issue);
    return { connector: unusable(entry, found.state, issue, loading), secrets: [] };
  }
  const { definition, extension } = found;
  const { file } = factsOf(entry, loading);
  if (loading.overlay?.has(file) !== true && !existsSync(file)) {
    const message = `there is no file "${entry.configuration}" beside this one`;
    const missing = error([...path, "configuration"], message);
    const issue = located(loading.mainFile, loading.document, missing);
    return { connector: unusable(entry, "invalid", issue, loading), secrets: [] };
  }
  const takenIds = new Set(earlier.map((other) => other.id));
  const { usable, config, input, secrets, ...content } = loadConnectorFile({
    ...loading,
    entry,
    definition,
    takenIds,
    isExtension: extension !== undefined,
  });
  const facts = { ...factsOf(entry, loading), ...content };
  return {
    connector: usable
      ? { ...facts, state: "ready", definition, extension, config, input }
      : { ...facts, state: "invalid", definition, config: undefined },
    secrets,
  };
}

function factsOf(
  entry: ConnectorEntry,
  loading: ConnectorLoading,
): Pick<EntryFacts, "entry" | "name" | "type" | "file"> {
  const file = resolve(loading.configDir, entry.configuration);
  return { entry, name: entry.name, type: entry.type, file };
}

function unusable(
  entry: ConnectorEntry,
  state: UnusableConnector["state"],
  issue: FileIssue,
  loading: ConnectorLoading,
): UnusableConnector {
  return {
    ...factsOf(entry, loading),
    id: connectorId(entry.type, entry.name),
    logLevel: "info",
    enableRemoteLogging: false,
    reportStrategy: undefined,
    raw: undefined,
    issues: [issue],
    state,
    definition: undefined,
    config: undefined,
  };
}

type FoundDefinition =
  | { readonly definition: ConnectorDefinition; readonly extension: ExtensionOrigin | undefined }
  | {
      readonly definition?: undefined;
      readonly issue: ParseIssue;
      readonly state: UnusableConnector["state"];
    };

async function findDefinition(
  placed: PlacedEntry,
  loading: ConnectorLoading,
): Promise<FoundDefinition> {
  const { entry, path } = placed;
  if (entry.type === "grpc" || entry.useGRPCForce === true) {
    const message = "gRPC connectors are not supported: this connector is skipped";
    const key = entry.type === "grpc" ? "type" : "useGRPCForce";
    return { issue: error([...path, key], message), state: "skipped" };
  }
  const load = Object.hasOwn(loading.connectorTypes, entry.type)
    ? loading.connectorTypes[entry.type]
    : undefined;
  const key = entry.class === undefined ? "type" : "class";
  try {
    const isBuiltin = load !== undefined;
    const found = await loading.extensions.find("connector", entry.type, entry.class, {
      isBuiltin,
    });
    if (found !== undefined) {
      const { definition, file, sha256 } = found;
      return { definition, extension: { file, sha256 } };
    }
  } catch (reason) {
    // A broken extension is mended while the gateway runs: what ran before goes on, as with a broken file.
    return { issue: error([...path, key], extensionText(reason)), state: "invalid" };
  }
  if (load === undefined) {
    return { issue: error([...path, key], absentText(entry, loading)), state: "skipped" };
  }
  return await loadBuiltin(load, path);
}

function extensionText(reason: unknown): string {
  return reason instanceof ConfigError
    ? reason.issues.map(({ path, message }) => `${path}: ${message}`).join("; ")
    : errorText(reason);
}

async function loadBuiltin(load: ConnectorTypes[string], path: Path): Promise<FoundDefinition> {
  try {
    return { definition: (await load()).default, extension: undefined };
  } catch (reason) {
    const message = `the connector cannot be loaded: ${errorText(reason)}`;
    return { issue: error([...path, "type"], message), state: "skipped" };
  }
}

/** Why nothing here runs an entry, and what to do. */
function absentText(entry: ConnectorEntry, loading: ConnectorLoading): string {
  const { type } = entry;
  const remedy = `an extension of type "${type}" can take its place`;
  if (entry.class !== undefined) {
    const near = nearest(entry.class, loading.extensions.known("connector", type));
    const hint = near === undefined ? remedy : `did you mean "${near}"?`;
    return `no extension of type "${type}" defines "${entry.class}", and a class of the Python gateway cannot run here: this connector is skipped; ${hint}`;
  }
  if (UPSTREAM_TYPES.includes(type)) {
    return `connectors of type "${type}" are not part of this gateway: this one is skipped; ${remedy}`;
  }
  const known = Object.keys(loading.connectorTypes);
  const near = nearest(type, known);
  const hint = near === undefined ? `known are ${known.join(", ")}` : `did you mean "${near}"?`;
  return `"${type}" is not a known type of connector: this one is skipped; ${hint}`;
}

function error(path: Path, message: string): ParseIssue {
  return { severity: "error", path, message };
}
