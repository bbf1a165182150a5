import { stripVTControlCharacters } from "node:util";
import { type ArgsDef, type CommandDef, renderUsage, runCommand } from "citty";
import type { ArgsDef as KnownArgs } from "./flags.ts";

/** A command without the type of its arguments, so that commands of all kinds fit in one table. */
export interface Runnable {
  /** The options it knows. */
  args(): Promise<KnownArgs>;
  /** Usage text under the name it was called by. */
  usage(name: string): Promise<string>;
  /** The commands it consists of, by name; none for a command that does something itself. */
  subcommands(): Promise<Readonly<Record<string, Runnable>>>;
  /** Resolves with what the command returned. @throws what it throws, and citty's error for a missing argument */
  run(rawArgs: readonly string[]): Promise<unknown>;
}

/** Hides the type of a command's arguments. */
export function runnable<Args extends ArgsDef>(command: CommandDef<Args>): Runnable {
  return {
    args: async () => {
      const { args } = command;
      return (typeof args === "function" ? await args() : await args) ?? {};
    },
    usage: async (name) => {
      const { meta } = command;
      const known = (typeof meta === "function" ? await meta() : await meta) ?? {};
      const text = await renderUsage({ ...command, meta: { ...known, name } });
      return process.stdout.isTTY ? text : stripVTControlCharacters(text);
    },
    subcommands: async () => {
      const { subCommands } = command;
      const found =
        (typeof subCommands === "function" ? await subCommands() : await subCommands) ?? {};
      const named: Record<string, Runnable> = {};
      for (const [name, one] of Object.entries(found)) {
        named[name] = runnable(typeof one === "function" ? await one() : await one);
      }
      return named;
    },
    run: async (rawArgs) => (await runCommand(command, { rawArgs: [...rawArgs] })).result,
  };
}
