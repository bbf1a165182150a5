import * as v from "valibot";
import type { Clock } from "#sdk/clock";
import { field } from "#sdk/config";
import { errorText, RejectedError, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { isJsonObject } from "#sdk/model";
import type { JsonRecord } from "../../config/canonical.ts";
import type { Environment } from "../../config/directories.ts";
import { resolveReferences } from "../../config/references.ts";
import type { ConnectorDefinition } from "../../connector/registry.ts";
import type { Look, ProbeOptions } from "./connectors/assistant.ts";

/** What a look needs. */
export interface LookHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly env: Environment;
  readonly cwd: string;
  /** Called with each thing that is found, as it is found. */
  readonly found: (text: string) => void;
}

/** Longest part of a finding that is shown. */
const MAX_LINE = 160;

/**
 * Looks at a device by the probe of its connector. What goes wrong there is a `problem` in words: a device that cannot be looked at is no
 * reason to end. @throws the signal's reason alone
 */
export async function lookAt(
  definition: ConnectorDefinition,
  options: ProbeOptions,
  host: LookHost,
  signal: AbortSignal,
): Promise<Look> {
  const lines: string[] = [];
  const details: JsonRecord[] = [];
  let config: JsonRecord | undefined;
  const result = (problem: string | undefined): Look => ({ config, lines, details, problem });
  if (definition.probe === undefined) {
    return result(`Devices of type ${definition.type} cannot be looked at from here`);
  }
  try {
    const resolved = withoutReferences(options, host);
    for await (const finding of definition.probe(resolved, host, signal)) {
      const line = printable(finding.text);
      lines.push(line);
      host.found(line);
      if (isJsonObject(finding.detail)) {
        details.push(finding.detail);
      }
      // Parts to paste come first, the whole file last.
      config = isJsonObject(finding.config) ? finding.config : config;
    }
    return result(undefined);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RejectedError || error instanceof TransientError) {
      return result(printable(errorText(error)));
    }
    throw error;
  }
}

const referenceField = field(v.string(), "", { doc: "An option.", reference: true });

/** `${env:NAME}` and `${file:PATH}` stay in the file that is written, but a device wants what they stand for. */
function withoutReferences(options: ProbeOptions, { env, cwd }: LookHost): ProbeOptions {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => {
      if (typeof value !== "string") {
        return [name, value];
      }
      const resolved = resolveReferences(referenceField, value, { env, configDir: cwd });
      const [issue] = resolved.issues;
      if (issue !== undefined) {
        throw new TransientError(issue.message);
      }
      return [name, String(resolved.value)];
    }),
  );
}

/** Names and values from outside must not move the cursor, nor fill the screen. */
function printable(text: string): string {
  return text
    .split("\n")
    .map((line) => {
      const clean = line.replaceAll(/\p{C}/gu, "?");
      return clean.length > MAX_LINE ? `${clean.slice(0, MAX_LINE)}…` : clean;
    })
    .join("\n");
}
