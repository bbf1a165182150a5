import type { ConnectorExtensions, LoadedConnector, ReadyConnector } from "../config/connectors.ts";
import { type FileIssue, located } from "../config/issue.ts";
import { type NamedConverter, namedConverters } from "../config/named-converters.ts";
import { fileIssue, readDocument } from "../config/text-file.ts";
import { absentConverterText } from "../connector/converter-names.ts";
import { downlinkConverters, uplinkConverters } from "../connector/registry.ts";
import type { ExtensionCatalogue } from "../extension/catalogue.ts";
import { ConfigError, type ConfigIssue, errorText } from "../sdk/errors.ts";

/** Where `check` looks for what a configuration names. */
export type CheckedExtensions = ConnectorExtensions &
  Pick<ExtensionCatalogue, "find" | "known" | "methods">;

/**
 * The converters that connectors name and nothing provides, each with the place of its name; and the files with methods of the
 * gateway that cannot be used. Imports files of extensions as `tbgw run` would.
 */
export async function extensionIssues(
  connectors: readonly LoadedConnector[],
  extensions: CheckedExtensions | undefined,
): Promise<readonly FileIssue[]> {
  const issues: FileIssue[] = [];
  for (const connector of connectors) {
    if (connector.state === "ready") {
      issues.push(...(await converterIssues(connector, extensions)));
    }
  }
  const problems: ConfigIssue[] = [];
  await extensions?.methods(problems);
  return [...issues, ...problems.map(({ path, message }) => fileIssue(path, message))];
}

async function converterIssues(
  { definition, input, file, type }: ReadyConnector,
  extensions: CheckedExtensions | undefined,
): Promise<readonly FileIssue[]> {
  const issues: FileIssue[] = [];
  const named = namedConverters(definition.schema, input);
  const document = named.length === 0 ? undefined : readDocument(file).document;
  for (const one of named) {
    const message = await problemOf(type, one, extensions);
    if (message !== undefined) {
      issues.push(located(file, document, { severity: "error", path: one.path, message }));
    }
  }
  return issues;
}

/** Why a connector of a type would not get a converter; `undefined`: it would. */
async function problemOf(
  type: string,
  { kind, name }: NamedConverter,
  extensions: CheckedExtensions | undefined,
): Promise<string | undefined> {
  const own = (kind === "uplink" ? uplinkConverters : downlinkConverters)[type] ?? {};
  const isBuiltin = Object.hasOwn(own, name);
  try {
    const found = await extensions?.find(kind, type, name, { isBuiltin });
    if (found !== undefined || isBuiltin) {
      return undefined;
    }
  } catch (error) {
    return error instanceof ConfigError
      ? error.issues.map(({ path, message }) => `${path}: ${message}`).join("; ")
      : errorText(error);
  }
  const known = [...Object.keys(own), ...(extensions?.known(kind, type) ?? [])];
  return absentConverterText({ kind, type, name }, known);
}
