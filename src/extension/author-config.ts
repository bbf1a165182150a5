import { dirname, resolve } from "node:path";
import { ConfigError, errorText } from "#sdk/errors";
import type { Json } from "#sdk/model";
import { loadConnectorFile } from "../config/connector-file.ts";
import type { FileIssue } from "../config/issue.ts";
import { readDocument } from "../config/text-file.ts";
import type { AuthorCode, CheckTask, TestTask } from "./author-port.ts";
import type { AuthorOutput } from "./author-work.ts";
import { type Definition, typeOf } from "./definitions.ts";

/** As an entry that says nothing. */
const START_MS = 30_000;

/** A configuration as a definition takes it; `code` is 3 when it does not fit, which has been said. */
export interface CheckedConfig {
  readonly code: AuthorCode;
  /** Of a connector: what its schema made of the file. Of others: the file's content, which is checked once more where it is used. */
  readonly config: unknown;
  readonly id: string;
}

/** Checks `--config` against the schema of a definition and says every mistake with its line. */
export async function checkConfig(
  definition: Definition,
  task: CheckTask | TestTask,
  output: AuthorOutput,
): Promise<CheckedConfig> {
  const file = resolve(task.config ?? "");
  return definition.kind === "connector"
    ? checkConnectorFile({ definition, file, env: task.env }, output)
    : await checkEntry(definition, file, output);
}

function checkConnectorFile(
  options: {
    readonly definition: Extract<Definition, { kind: "connector" }>;
    readonly file: string;
    readonly env: CheckTask["env"];
  },
  output: AuthorOutput,
): CheckedConfig {
  const { definition, file, env } = options;
  const type = typeOf(definition);
  const name = definition.name ?? type;
  const loaded = loadConnectorFile({
    entry: { name, type, configuration: file, startTimeoutMs: START_MS },
    definition,
    takenIds: new Set(),
    isExtension: true,
    configDir: dirname(file),
    env,
  });
  const isWrong = say(loaded.issues, output) || !loaded.usable;
  return { code: isWrong ? 3 : 0, config: loaded.config, id: loaded.id };
}

async function checkEntry(
  definition: Exclude<Definition, { kind: "connector" }>,
  file: string,
  output: AuthorOutput,
): Promise<CheckedConfig> {
  const { document, issues } = readDocument(file, undefined);
  const config: Json | undefined = document?.value;
  if (say(issues, output) || config === undefined) {
    return { code: 3, config: undefined, id: "" };
  }
  const schema = definition.kind === "rpc" ? definition.params : definition.schema;
  const result = await schema["~standard"].validate(config);
  const found = (result.issues ?? []).map(({ message, path = [] }): FileIssue => {
    const keys = path.map((part) => (typeof part === "object" ? part.key : part));
    const plain = keys.map((key) => (typeof key === "number" ? key : String(key)));
    return {
      severity: "error",
      file,
      line: document?.lineOf(plain),
      path: plain.length === 0 ? "$" : plain.join("."),
      message,
    };
  });
  return { code: say(found, output) ? 3 : 0, config, id: "" };
}

/** Says issues; whether one of them is an error. */
function say(issues: readonly FileIssue[], output: AuthorOutput): boolean {
  for (const { severity, file, line, path, message } of issues) {
    const place = [file, ...(line === undefined ? [] : [line])].join(":");
    const kind = severity === "warning" ? "warning: " : "";
    output.send({
      kind: "problem",
      text: `${place}: ${path === "$" ? "" : `${path}: `}${kind}${message}`,
    });
  }
  return issues.some(({ severity }) => severity === "error");
}

/** Says every issue of a ConfigError. @throws anything else */
export function sayConfigError(error: unknown, output: AuthorOutput): AuthorCode {
  if (!(error instanceof ConfigError)) {
    throw error;
  }
  output.send({ kind: "problem", text: errorText(error) });
  return 3;
}
