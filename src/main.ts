import { commands } from "./commands/catalogue.ts";
import { UsageError, unknownFlag } from "./commands/flags.ts";
import { print } from "./commands/print.ts";
import type { Runnable } from "./commands/runnable.ts";
import { ConfigError, errorText } from "./sdk/errors.ts";
import { VERSION } from "./version.ts";

/** 0 ok, 1 failed, 2 usage, 3 configuration. */
type ExitCode = number;

const ROOT_HELP = `tbgw ${VERSION}: ThingsBoard IoT gateway in one file

Usage: tbgw COMMAND [OPTIONS]

Commands:
${Object.entries(commands)
  .map(([name, entry]) => `  ${name.padEnd(10)} ${entry.summary}`)
  .join("\n")}

Options:
  -h, --help     Help for tbgw or for one command
  --version      Version

Examples:
  tbgw demo                                 See it work, with nothing installed
  tbgw init                                 Write a configuration, asking for what it needs
  tbgw check --config /etc/tbgw             Check the configuration before it runs
  tbgw run --config /etc/tbgw               Run the gateway
`;

async function main(args: readonly string[]): Promise<ExitCode> {
  const [first, ...rest] = args;
  if (first === undefined || ["--help", "-h", "help"].includes(first)) {
    await print(ROOT_HELP);
    return first === undefined ? 2 : 0;
  }
  if (first === "--version" || first === "version") {
    await print(`tbgw ${VERSION}\n`);
    return 0;
  }
  return await runNamed(first, rest);
}

async function runNamed(name: string, args: readonly string[]): Promise<ExitCode> {
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined) {
    throw new UsageError(`Unknown command "${name}". "tbgw --help" lists the commands.`);
  }
  const { command, fullName, rest } = await leaf(await entry.load(), name, args);
  const wantsHelp = rest.includes("--help") || rest.includes("-h");
  const parts = Object.keys(await command.subcommands());
  if (wantsHelp) {
    await print(await commandHelp(fullName, command, commands[name]?.examples ?? []));
    return 0;
  }
  if (parts.length > 0) {
    const which = rest[0] === undefined ? "which one is missing" : `not "${rest[0]}"`;
    throw new UsageError(`"tbgw ${fullName}" is followed by ${parts.join(", ")}: ${which}.`);
  }
  const flag = unknownFlag(rest, await command.args());
  if (flag !== undefined) {
    throw new UsageError(`Unknown option "${flag}". "tbgw ${fullName} --help" lists the options.`);
  }
  const result = await command.run(rest);
  return typeof result === "number" ? result : 0;
}

/** Follows names of subcommands to the command that is meant. */
async function leaf(
  command: Runnable,
  fullName: string,
  args: readonly string[],
): Promise<{
  readonly command: Runnable;
  readonly fullName: string;
  readonly rest: readonly string[];
}> {
  const [first = "", ...rest] = args;
  const parts = await command.subcommands();
  const next = Object.hasOwn(parts, first) ? parts[first] : undefined;
  return next === undefined
    ? { command, fullName, rest: args }
    : await leaf(next, `${fullName} ${first}`, rest);
}

async function commandHelp(
  name: string,
  command: Runnable,
  examples: readonly string[],
): Promise<string> {
  const usage = await command.usage(`tbgw ${name}`);
  return `${usage}\nExamples:\n${examples.map((line) => `  ${line}`).join("\n")}\n`;
}

/** What goes to the terminal, and which exit code, for an error that ended a command. */
function report(error: unknown): ExitCode {
  process.stderr.write(`tbgw: ${errorText(error)}\n`);
  if (error instanceof ConfigError) {
    return 3;
  }
  const isUsage =
    error instanceof UsageError || (error instanceof Error && error.name === "CLIError");
  return isUsage ? 2 : 1;
}

let exitCode: ExitCode;
try {
  exitCode = await main(process.argv.slice(2));
} catch (error) {
  exitCode = report(error);
}
// What commands have written must not be cut short when a pipe reads slowly.
await print("");
process.exit(exitCode);
