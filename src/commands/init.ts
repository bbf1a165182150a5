import { accessSync, constants, existsSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { type ArgsDef, defineCommand } from "citty";
import {
  CONFIG_DIRECTORIES,
  type DirectoryChoice,
  findConfig,
  findDataDir,
  MAIN_FILES,
} from "../config/directories.ts";
import { connectorTypes } from "../connector/registry.ts";
import { ExtensionCatalogue } from "../extension/catalogue.ts";
import type { ExtensionFlags } from "../extension/open.ts";
import { extensionRoots } from "../extension/roots.ts";
import { formatLogLine } from "../logging/stdout.ts";
import { systemClock } from "../sdk/clock.ts";
import { ConfigError } from "../sdk/errors.ts";
import { createLogger } from "../sdk/logger.ts";
import { StopSignal } from "../service/signals.ts";
import { UsageError, valuesOf } from "./flags.ts";
import { initArgs } from "./init/args.ts";
import { Cancelled, type Flags, Interview, type Tone } from "./init/interview.ts";
import type { SavedFile } from "./init/save.ts";
import { offerService } from "./init/service-step.ts";
import { runWizard } from "./init/wizard.ts";
import { print } from "./print.ts";

const TITLE = "tbgw init: nothing is written before the last question; Ctrl-C ends it at any time";

/** `tbgw init` */
export const initCommand = defineCommand({
  meta: {
    name: "init",
    description:
      "Write a configuration: asks, tests the platform, looks at devices. Every question is an option too",
  },
  args: async (): Promise<ArgsDef> => await initArgs(),
  run: async ({ args, rawArgs }) => {
    const [extra] = args._;
    if (extra !== undefined) {
      throw new UsageError(`init takes no argument "${extra}"; the directory goes after --config`);
    }
    const flags = flagsOf(args);
    const allowInsecure = flags["allow-insecure-extensions"] === true;
    return await init(flags, { extensions: valuesOf(rawArgs, "extensions"), allowInsecure });
  },
});

/** What the command line said; nothing for what it did not. */
function flagsOf(args: Readonly<Record<string, unknown>>): Flags {
  const flags: Record<string, string | boolean> = {};
  for (const [name, value] of Object.entries(args)) {
    if (typeof value === "string" || typeof value === "boolean") {
      flags[name] = value;
    }
  }
  return flags;
}

/**
 * Aborts when nobody can answer any more. What the prompts throw from then on has nobody to hear it: unhandled, such errors follow each
 * other without end.
 */
function terminalLost(): AbortSignal {
  const lost = new AbortController();
  const onLost = (): void => {
    if (!lost.signal.aborted) {
      process.on("uncaughtException", () => undefined);
      lost.abort("the terminal is gone");
    }
  };
  for (const stream of [process.stdin, process.stdout, process.stderr]) {
    stream.on("error", onLost);
  }
  process.stdin.on("end", onLost);
  return lost.signal;
}

async function init(flags: Flags, extensions: ExtensionFlags): Promise<number> {
  // Between questions, and while files are put in place, Ctrl-C is a wish and not the end.
  using stop = new StopSignal();
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  const signal = isTerminal ? AbortSignal.any([stop.signal, terminalLost()]) : stop.signal;
  const terminal = isTerminal
    ? (await import("./init/clack-terminal.ts")).clackTerminal(TITLE, signal)
    : undefined;
  const say = (tone: Tone, text: string): void =>
    terminal === undefined ? plainSay(tone, text) : terminal.say(tone, text);
  const takesDefaults = flags["yes"] === true;
  const interview = new Interview({ flags, env: process.env, terminal, takesDefaults, say });
  try {
    return await wizard(interview, extensions, signal);
  } catch (error) {
    if (error instanceof Cancelled || signal.aborted) {
      await print("Nothing was written.\n");
      return 1;
    }
    throw error;
  }
}

async function wizard(
  interview: Interview,
  extensions: ExtensionFlags,
  signal: AbortSignal,
): Promise<number> {
  const cwd = process.cwd();
  const configDir = await askConfigDir(interview, cwd);
  const data = interview.flag("data");
  const dataDir = findDataDir({
    dataDir: data === undefined ? undefined : String(data),
    env: process.env,
    cwd,
  });
  // What is wrong is said by the wizard, in words.
  const log = createLogger({
    source: "init",
    level: "error",
    clock: systemClock,
    sink: (record) => process.stderr.write(`${formatLogLine(record)}\n`),
  });
  const result = await runWizard(
    {
      interview,
      configDir,
      dataDir,
      importDir: await askImport(interview, configDir, cwd),
      env: process.env,
      cwd,
      connectorTypes,
      clock: systemClock,
      log,
      extensions: new ExtensionCatalogue({
        roots: extensionRoots({
          flags: extensions.extensions,
          env: process.env,
          configDir,
          executable: process.execPath,
          cwd,
        }),
        log,
        allowInsecure: extensions.allowInsecure,
      }),
    },
    signal,
  );
  if (interview.flag("dry-run") === true) {
    await print(`${result.text}\n\nNothing was written (--dry-run).\n`);
    return 0;
  }
  await print(`${savedLines(result.saved, cwd)}\n`);
  const places = { configDir, dataDir: data === undefined ? undefined : dataDir };
  const isService = await offerService(interview, places);
  await print(nextSteps(places, isService));
  return 0;
}

async function askConfigDir(interview: Interview, cwd: string): Promise<string> {
  const given = await interview.text({
    flag: "config",
    message: "Directory for the configuration",
    fallback: usualConfigDir({ env: process.env, cwd }),
    check: (text) =>
      existsSync(resolve(cwd, text)) && !statSync(resolve(cwd, text)).isDirectory()
        ? "is a file, not a directory"
        : undefined,
  });
  return resolve(cwd, given);
}

/** The directory that `run` would find, else the one it looks at first, where that can be made. */
function usualConfigDir(choice: DirectoryChoice): string {
  const named = choice.env["TB_GW_CONFIG_DIR"];
  if (named !== undefined && named !== "") {
    return named;
  }
  try {
    // The files of a Python gateway are not ours to write to: they can be imported.
    const searched = CONFIG_DIRECTORIES.filter((dir) => dir !== PYTHON_CONFIG);
    return findConfig({ ...choice, searched }).configDir;
  } catch (error) {
    if (!(error instanceof ConfigError)) {
      throw error;
    }
  }
  const system = "/etc/tbgw";
  try {
    accessSync(existsSync(system) ? system : "/etc", constants.W_OK);
    return system;
  } catch {
    return "./config"; // Not root: below the working directory.
  }
}

/** Where the package of the Python gateway keeps its files. */
const PYTHON_CONFIG = "/etc/thingsboard-gateway/config";

/** The folder to start from; asked only where a Python gateway is installed and nothing of ours is there yet. */
async function askImport(
  interview: Interview,
  configDir: string,
  cwd: string,
): Promise<string | undefined> {
  const isOffered = hasMain(PYTHON_CONFIG) && !hasMain(configDir) && interview.hasPerson;
  if (!isOffered && interview.flag("import") === undefined) {
    return undefined;
  }
  const given = await interview.text({
    flag: "import",
    message: "There is a Python gateway: start from its folder? (empty: no)",
    fallback: PYTHON_CONFIG,
  });
  if (given === "") {
    return undefined;
  }
  const dir = resolve(cwd, given);
  if (!existsSync(dir) || !statSync(dir).isDirectory()) {
    throw new UsageError(`--import: there is no directory ${dir}`);
  }
  if (dir === configDir) {
    throw new UsageError(
      `--import: ${dir} is where the result goes; "tbgw run --config ${dir}" reads it as it is`,
    );
  }
  return dir;
}

function hasMain(dir: string): boolean {
  return MAIN_FILES.some((name) => existsSync(join(dir, name)));
}

function savedLines(saved: readonly SavedFile[], cwd: string): string {
  const short = (file: string): string => {
    const path = relative(cwd, file);
    return path.startsWith("..") || path === "" || cwd === "/" ? file : path;
  };
  const lines = saved.map(({ file, backup }) =>
    backup === undefined
      ? `wrote ${short(file)}`
      : `wrote ${short(file)} (before: ${short(backup)})`,
  );
  return lines.join("\n") || "Everything is there already: nothing to write";
}

function nextSteps(
  { configDir, dataDir }: { readonly configDir: string; readonly dataDir: string | undefined },
  isService: boolean,
): string {
  const where = `--config ${configDir}`;
  const data = dataDir === undefined ? "" : ` --data ${dataDir}`;
  const run = isService ? [] : [`  tbgw run ${where}${data}`.padEnd(50) + "  run it here"];
  return [
    "",
    "Next:",
    `  tbgw check ${where} --explain`.padEnd(50) + "  what each value will look like",
    ...run,
    `  tbgw status${data}`.padEnd(50) + "  links, devices, rates",
    "",
  ].join("\n");
}

const MARKS: Readonly<Record<Tone, string>> = {
  step: "",
  info: "  ",
  good: "",
  warn: "! ",
  bad: "!! ",
};

/** Without a terminal: lines of text, on standard output; what is wrong on standard error. */
function plainSay(tone: Tone, text: string): void {
  const stream = tone === "warn" || tone === "bad" ? process.stderr : process.stdout;
  const lines = text.split("\n").map((line) => `${MARKS[tone]}${line}`.trimEnd());
  stream.write(`${lines.join("\n")}\n`);
}
