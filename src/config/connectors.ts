import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type ParseIssue, parseConfig } from "#sdk/config";
import { errorText } from "#sdk/errors";
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

/** A connector that can start. Its issues are mistakes that cost it something, or warnings. */
export interface ReadyConnector extends EntryFacts {
  readonly state: "ready";
  readonly definition: ConnectorDefinition;
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

/** What the entries of `connectors` are loaded with. */
export interface ConnectorLoading extends ReferenceSources {
  readonly connectorTypes: ConnectorTypes;
  readonly extensions: readonly ConnectorDefinition[];
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
    return { connector: unusable(entry, "skipped", issue, loading), secrets: [] };
  }
  const { definition } = found;
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
  });
  const facts = { ...factsOf(entry, loading), ...content };
  return {
    connector: usable
      ? { ...facts, state: "ready", definition, config, input }
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
  | { readonly definition: ConnectorDefinition }
  | { readonly definition?: undefined; readonly issue: ParseIssue };

async function findDefinition(
  placed: PlacedEntry,
  loading: ConnectorLoading,
): Promise<FoundDefinition> {
  const { entry, path } = placed;
  if (entry.type === "grpc" || entry.useGRPCForce === true) {
    const message = "gRPC connectors are not supported: this connector is skipped";
    const key = entry.type === "grpc" ? "type" : "useGRPCForce";
    return { issue: error([...path, key], message) };
  }
  const matching = matchingExtensions(entry, loading.extensions);
  const load = Object.hasOwn(loading.connectorTypes, entry.type)
    ? loading.connectorTypes[entry.type]
    : undefined;
  const override = matching.find((extension) => extension.overridesBuiltin === true);
  if (load !== undefined && override === undefined) {
    return loadBuiltin(load, path);
  }
  const [first, second] = override === undefined ? matching : [override];
  if (first === undefined) {
    return { issue: error([...path, "type"], absentText(entry, loading)) };
  }
  if (second !== undefined) {
    const message = `several extensions provide connectors of type "${entry.type}": choose one by "class"`;
    return { issue: error([...path, "class"], message) };
  }
  return { definition: first };
}

async function loadBuiltin(load: ConnectorTypes[string], path: Path): Promise<FoundDefinition> {
  try {
    return { definition: (await load()).default };
  } catch (reason) {
    const message = `the connector cannot be loaded: ${errorText(reason)}`;
    return { issue: error([...path, "type"], message) };
  }
}

/** The extensions that may run an entry: by the name in `class`, or the ones without a name, or the only one there is. */
function matchingExtensions(
  entry: ConnectorEntry,
  extensions: readonly ConnectorDefinition[],
): readonly ConnectorDefinition[] {
  const ofType = extensions.filter((extension) => extension.type.toLowerCase() === entry.type);
  const named = ofType.filter(({ name }) => name !== undefined && name === entry.class);
  if (named.length > 0) {
    return named;
  }
  const takesAll = ofType.filter(({ name }) => name === undefined);
  return takesAll.length === 0 && entry.class === undefined ? ofType : takesAll;
}

/** Why nothing here runs an entry, and what to do. */
function absentText(entry: ConnectorEntry, loading: ConnectorLoading): string {
  const { type } = entry;
  const remedy = `an extension of type "${type}" can take its place`;
  if (entry.class !== undefined) {
    return `"${entry.class}" names a class for the Python gateway, which cannot run here: this connector is skipped; ${remedy}`;
  }
  if (UPSTREAM_TYPES.includes(type)) {
    return `connectors of type "${type}" are not part of this gateway: this one is skipped; ${remedy}`;
  }
  const known = [
    ...Object.keys(loading.connectorTypes),
    ...loading.extensions.map((extension) => extension.type),
  ];
  const near = nearest(type, known);
  const hint = near === undefined ? `known are ${known.join(", ")}` : `did you mean "${near}"?`;
  return `"${type}" is not a known type of connector: this one is skipped; ${hint}`;
}

function error(path: Path, message: string): ParseIssue {
  return { severity: "error", path, message };
}
