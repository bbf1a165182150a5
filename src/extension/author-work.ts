import { existsSync, readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { importsOf, provideModules, resolveImport } from "#platform/module-cache";
import { systemClock } from "#sdk/clock";
import { createLogger } from "#sdk/logger";
import type { AuthorCode, AuthorTask, FromAuthorThread } from "./author-port.ts";
import type { Definition } from "./definitions.ts";
import { typeOf } from "./definitions.ts";
import { provideHostModules } from "./host-modules.ts";
import { type Loaded, Loader } from "./load.ts";
import { folderInsecurity } from "./source-files.ts";

/** Where a task says what it finds. */
export interface AuthorOutput {
  readonly send: (message: FromAuthorThread) => void;
  /** Ends what runs until somebody ends it. */
  readonly signal: AbortSignal;
}

type Place = Pick<AuthorTask, "file" | "allowInsecure">;

/** What extensions may import by these names without a package. */
const PROVIDED = ["tbgw/sdk", "tbgw/testing", "valibot"];
const KIND_WORDS = {
  connector: "connector",
  uplink: "uplink converter",
  downlink: "downlink converter",
  rpc: "method of the gateway",
} as const;

/** Does what an author asks for. Gives the exit code. @throws what is no fault of the file */
export async function doTask(task: AuthorTask, output: AuthorOutput): Promise<AuthorCode> {
  if (task.kind === "inspect") {
    const { sha256, definitions, problem } = await load(task);
    const found = definitions.map((one) => ({
      kind: one.kind,
      type: typeOf(one),
      name: one.name,
    }));
    output.send({ kind: "found", found: { sha256, definitions: found, problem } });
    return problem === undefined ? 0 : 1;
  }
  await provideTesting();
  if (task.kind === "test" && /\.test\.(ts|mts|js|mjs)$/.test(task.file)) {
    return await runTestFile(task, output);
  }
  const chosen = await choose(task, output);
  if (typeof chosen === "number") {
    return chosen;
  }
  if (task.kind === "check") {
    const { checkConfig } = await import("./author-config.ts");
    return task.config === undefined ? 0 : (await checkConfig(chosen, task, output)).code;
  }
  const test = task.file.replace(/\.(ts|mts|js|mjs)$/, ".test.$1");
  if (task.config === undefined && task.input === undefined && existsSync(test)) {
    return await runTestFile({ ...task, file: test }, output);
  }
  const { tryOut } = await import("./author-try.ts");
  return await tryOut(chosen, task, output);
}

/** The definition that is meant, after saying what the file defines; the exit code when there is none. */
async function choose(
  task: Exclude<AuthorTask, { kind: "inspect" }>,
  output: AuthorOutput,
): Promise<Definition | AuthorCode> {
  const { file, name, kind } = task;
  const problem = (text: string): AuthorCode => {
    output.send({ kind: "problem", text: `${file}: ${text}` });
    return 1;
  };
  if (/\.py[co]?$/.test(file)) {
    return problem(
      "Python extensions are not supported: port it, connectors/custom/README.md says how",
    );
  }
  const missing = missingImports(file);
  if (missing.length > 0) {
    const list = missing.map((one) => `"${one}"`).join(", ");
    return problem(
      `it imports ${list}, which the program does not have: bundle it into the file, or put it into a node_modules folder beside it`,
    );
  }
  const loaded = await load(task);
  const refused = loaded.problem ?? openPlace(task, loaded.definitions);
  if (refused !== undefined) {
    return problem(refused);
  }
  const [first, ...others] = loaded.definitions.filter(
    (one) => name === undefined || one.name === name,
  );
  if (first === undefined) {
    const what = name === undefined ? "no definition" : `no definition named "${name}"`;
    return problem(
      `it exports ${what}: "export default defineConnector({ … })", or one of its kin`,
    );
  }
  if (kind === "check") {
    for (const one of loaded.definitions) {
      output.send({ kind: "out", text: definitionText(one) });
    }
    output.send({ kind: "out", text: `SHA-256 ${loaded.sha256}` });
  }
  const isChoice = others.length > 0 && (kind === "test" || name !== undefined);
  return isChoice ? problem(`it defines several things: choose one with --name`) : first;
}

/** `uplink converter TankLevelConverter for connectors of type mqtt` */
export function definitionText(definition: Definition): string {
  const what = KIND_WORDS[definition.kind];
  if (definition.kind === "rpc") {
    return `${what} ${definition.name}, called as gateway_${definition.name}`;
  }
  return definition.kind === "connector"
    ? `${what} ${definition.name ?? "for every class"} of type ${typeOf(definition)}`
    : `${what} ${definition.name} for connectors of type ${typeOf(definition)}`;
}

function missingImports(file: string): readonly string[] {
  let specifiers: readonly string[];
  try {
    specifiers = importsOf(readFileSync(file, "utf8"), /\.m?ts$/.test(file) ? "ts" : "js");
  } catch {
    return []; // Loading says what is wrong with it.
  }
  return specifiers.filter(
    (one) =>
      !PROVIDED.includes(one) &&
      !/^(node|bun):|^bun$/.test(one) &&
      resolveImport(one, dirname(file)) === undefined,
  );
}

/** The file as a gateway would load it, or what it refuses. */
async function load({ file, allowInsecure }: Place): Promise<Loaded> {
  provideHostModules();
  const log = createLogger({
    source: "extension",
    level: "none",
    clock: systemClock,
    sink: () => undefined,
  });
  return await new Loader({ clock: systemClock, log, allowInsecure }).load(file);
}

/** A file where a gateway would find it is refused when the gateway would refuse the folder. */
function openPlace(
  { file, allowInsecure }: Place,
  definitions: readonly Definition[],
): string | undefined {
  const folder = dirname(file);
  const name = basename(folder).toLowerCase();
  const isPlaced = name === "shared" || definitions.some((one) => typeOf(one) === name);
  return isPlaced && !allowInsecure ? folderInsecurity(folder) : undefined;
}

async function provideTesting(): Promise<void> {
  provideModules({ "tbgw/testing": { ...(await import("./testing.ts")) } });
}

async function runTestFile(place: Place, output: AuthorOutput): Promise<AuthorCode> {
  const { problem } = await load(place);
  if (problem !== undefined) {
    output.send({ kind: "problem", text: `${place.file}: ${problem}` });
    return 1;
  }
  const { runTests } = await import("./test-run.ts");
  const failed = await runTests((text) => output.send({ kind: "out", text }));
  return failed === 0 ? 0 : 1;
}
