import { resolve } from "node:path";
import * as v from "valibot";
import { type ParseIssue, parseConfig } from "#sdk/config";
import { errorText } from "#sdk/errors";
import type { LogLevel } from "#sdk/logger";
import { isJsonObject, type Json, type ReportStrategy } from "#sdk/model";
import { toReportStrategy } from "#sdk/report-strategy";
import type { ConnectorDefinition } from "../connector/registry.ts";
import { connectorId } from "./connector-id.ts";
import type { Document } from "./document.ts";
import { deepFreeze } from "./freeze.ts";
import { type ConnectorEntry, connectorRoot } from "./gateway.ts";
import { type FileIssue, located } from "./issue.ts";
import { isSchema, type ReferenceSources, resolveReferences } from "./references.ts";
import { strategyIssues } from "./report-strategy.ts";
import { checkSchema } from "./schema-check.ts";
import { fileIssue, isYaml, type Overlay, readDocument, readText } from "./text-file.ts";

/** What a connector's file comes to, whether or not it can be used. */
export interface ConnectorFile {
  /** Typed by the definition's schema and frozen; `undefined` when it cannot be used. */
  readonly config: unknown;
  readonly usable: boolean;
  /** The file's own id, else the one made from type and name. */
  readonly id: string;
  readonly logLevel: LogLevel;
  readonly enableRemoteLogging: boolean;
  /** The connector's own strategy, completed from the gateway's; `undefined` when it has none. */
  readonly reportStrategy: ReportStrategy | undefined;
  /** What the definition's schema was given: upgraded, with `id` and `name`, references resolved. */
  readonly input: unknown;
  /** The file's content as it is there, for remote configuration; references unresolved. */
  readonly raw: Json | undefined;
  readonly secrets: readonly string[];
  readonly issues: readonly FileIssue[];
}

/** What a connector file is read with. */
export interface ConnectorFileOptions extends ReferenceSources {
  readonly entry: ConnectorEntry;
  readonly definition: ConnectorDefinition;
  /** Ids of the connectors before this one: a copied file must not make two of one. */
  readonly takenIds: ReadonlySet<string>;
  readonly overlay?: Overlay | undefined;
  /** The definition is an extension's: one that needs no settings may have a file without any. */
  readonly isExtension: boolean;
}

/** Reads, upgrades and checks the file of one connector. Never throws and never writes. */
export function loadConnectorFile(options: ConnectorFileOptions): ConnectorFile {
  const { entry } = options;
  const file = resolve(options.configDir, entry.configuration);
  const content = readContent(file, options);
  if (content.value === undefined) {
    return unusable(options, content.issues, undefined);
  }
  if (typeof content.value === "string") {
    return fromText(options, { file, text: content.value });
  }
  return fromObject(options, { file, content: { ...content, value: content.value } });
}

interface Content {
  /** An object, or the whole text of a file that is neither JSON nor YAML; `undefined` when there is nothing to use. */
  readonly value: JsonRecord | string | undefined;
  readonly document: Document | undefined;
  readonly issues: readonly FileIssue[];
}

type JsonRecord = { readonly [key: string]: Json };

type Reading = Pick<ConnectorFileOptions, "overlay" | "isExtension">;

function readContent(file: string, reading: Reading): Content {
  if (/\.json$/i.test(file) || isYaml(file)) {
    return readStructured(file, reading);
  }
  const { text, issue } = readText(file, reading.overlay);
  const trimmed = text?.trim() ?? "";
  if (trimmed === "") {
    return { value: undefined, document: undefined, issues: [issue ?? emptyFile(file)] };
  }
  return trimmed.startsWith("{")
    ? readStructured(file, reading)
    : { value: text, document: undefined, issues: [] };
}

function readStructured(file: string, { overlay, isExtension }: Reading): Content {
  const { document, issues } = readDocument(file, overlay);
  const value = document?.value;
  if (document === undefined || value === undefined) {
    return { value: undefined, document, issues };
  }
  if (!isJsonObject(value)) {
    const message = "the file must hold one object";
    return { value: undefined, document, issues: [...issues, fileIssue(file, message)] };
  }
  return isExtension || holdsSettings(value)
    ? { value, document, issues }
    : { value: undefined, document, issues: [...issues, emptyFile(file)] };
}

/** A file of a platform that knows the connector by name only has a log level and little else. */
function holdsSettings(value: JsonRecord): boolean {
  const keys = Object.keys(value);
  const isStub = Object.hasOwn(value, "logLevel") && keys.every((key) => ROOT_KEYS.has(key));
  return keys.length > 0 && !isStub;
}

const ROOT_KEYS: ReadonlySet<string> = new Set(Object.keys(connectorRoot.entries));

function emptyFile(file: string): FileIssue {
  return fileIssue(file, "the file holds no settings");
}

function unusable(
  options: ConnectorFileOptions,
  issues: readonly FileIssue[],
  raw: Json | undefined,
): ConnectorFile {
  const { type, name } = options.entry;
  return {
    config: undefined,
    usable: false,
    id: connectorId(type, name),
    logLevel: "info",
    enableRemoteLogging: false,
    reportStrategy: undefined,
    input: undefined,
    raw,
    secrets: [],
    issues,
  };
}

function fromText(
  options: ConnectorFileOptions,
  source: { readonly file: string; readonly text: string },
): ConnectorFile {
  const checked = checkSchema(options.definition.schema, source.text);
  const issues = checked.issues.map((issue) => located(source.file, undefined, issue));
  const base = unusable(options, issues, source.text);
  return checked.usable
    ? { ...base, usable: true, input: source.text, config: deepFreeze(checked.value) }
    : base;
}

function fromObject(
  options: ConnectorFileOptions,
  source: { readonly file: string; readonly content: Content & { readonly value: JsonRecord } },
): ConnectorFile {
  const { entry, definition } = options;
  const { file, content } = source;
  const place = (issue: ParseIssue): FileIssue => located(file, content.document, issue);
  const root = readRoot(content.value);
  const ownId = root.value.id ?? connectorId(entry.type, entry.name);
  const isTaken = options.takenIds.has(ownId);
  const id = isTaken ? connectorId(entry.type, entry.name) : ownId;
  const base = {
    id,
    logLevel: LOG_LEVELS[root.value.logLevel],
    enableRemoteLogging: root.value.enableRemoteLogging,
    reportStrategy: undefined,
    input: undefined,
    raw: content.value,
  };
  const early = [...content.issues, ...root.issues.map(place)];
  if (isTaken) {
    const message = "another connector has this id already: one made from type and name is used";
    early.push(place({ severity: "warning", path: ["id"], message }));
  }
  const upgraded = upgrade(definition, content.value);
  if (upgraded.problem !== undefined) {
    const issues = [...early, fileIssue(file, upgraded.problem)];
    return { ...base, config: undefined, usable: false, secrets: [], issues };
  }
  // Out of the upgraded file: an older form may say it in another way.
  const { reportStrategy } = isJsonObject(upgraded.json)
    ? readRoot(upgraded.json).value
    : root.value;
  const injected = isJsonObject(upgraded.json)
    ? { ...upgraded.json, id, name: entry.name }
    : upgraded.json;
  const { schema } = definition;
  const resolved = isSchema(schema)
    ? resolveReferences(schema, injected, options)
    : { value: injected, issues: [], secrets: [] };
  const checked = checkSchema(schema, resolved.value);
  const found = [...resolved.issues, ...checked.issues.filter((issue) => !isAboutRootKey(issue))];
  return {
    ...base,
    reportStrategy: toReportStrategy(reportStrategy),
    input: resolved.value,
    config: checked.usable ? deepFreeze(checked.value) : undefined,
    usable: checked.usable,
    secrets: resolved.secrets,
    issues: withoutRepeats([...early, ...found.map(place)]),
  };
}

/** The keys every connector file may have; problems with them never cost the connector. */
function readRoot(value: JsonRecord): {
  readonly value: Root;
  readonly issues: readonly ParseIssue[];
} {
  const own = Object.fromEntries(Object.entries(value).filter(([key]) => ROOT_KEYS.has(key)));
  const parsed = parseConfig(connectorRoot, own);
  const root = parsed.value ?? v.parse(connectorRoot, {});
  const issues = [...parsed.issues, ...strategyIssues(root.reportStrategy, ["reportStrategy"])];
  return { value: root, issues };
}

type Root = v.InferOutput<typeof connectorRoot>;

const LOG_LEVELS: Readonly<Record<Root["logLevel"], LogLevel>> = {
  TRACE: "trace",
  DEBUG: "debug",
  INFO: "info",
  WARNING: "warn",
  WARN: "warn",
  ERROR: "error",
  CRITICAL: "error",
  NONE: "none",
  NOTSET: "none",
};

function upgrade(
  definition: ConnectorDefinition,
  json: Json,
): { readonly json: Json; readonly problem?: undefined } | { readonly problem: string } {
  if (definition.upgrade === undefined) {
    return { json };
  }
  try {
    // A copy: an upgrade may change its argument, and the file's content is still needed as it is.
    return { json: definition.upgrade(structuredClone(json)) };
  } catch (error) {
    return { problem: `an older form of the file cannot be read: ${errorText(error)}` };
  }
}

/** A connector's schema need not know the keys that the core reads. */
function isAboutRootKey(issue: ParseIssue): boolean {
  const [key, ...rest] = issue.path;
  return (
    rest.length === 0 &&
    typeof key === "string" &&
    ROOT_KEYS.has(key) &&
    issue.severity === "warning"
  );
}

function withoutRepeats(issues: readonly FileIssue[]): readonly FileIssue[] {
  const seen = new Set<string>();
  return issues.filter((issue) => {
    const key = `${issue.severity}\n${issue.path}\n${issue.message}`;
    const isFirst = !seen.has(key);
    seen.add(key);
    return isFirst;
  });
}
