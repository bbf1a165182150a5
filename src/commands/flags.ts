/** The part of citty's argument definitions that decides which options a command knows. */
export type ArgsDef = Readonly<
  Record<
    string,
    {
      readonly type?: "boolean" | "string" | "enum" | "positional" | undefined;
      readonly alias?: string | readonly string[];
    }
  >
>;

/** The command line asks for something that does not exist: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The first option the command does not know; citty would ignore it silently. */
export function unknownFlag(args: readonly string[], known: ArgsDef): string | undefined {
  const names = new Set<string>();
  for (const [name, { alias }] of Object.entries(known)) {
    names.add(`--${name}`).add(`--no-${name}`);
    for (const short of typeof alias === "string" ? [alias] : (alias ?? [])) {
      names.add(short.length === 1 ? `-${short}` : `--${short}`);
    }
  }
  for (const arg of args) {
    if (arg === "--") {
      return undefined;
    }
    const name = optionName(arg);
    if (name !== undefined && !names.has(name)) {
      return name;
    }
  }
  return undefined;
}

/** `--seconds` of `--seconds=20`; a value such as `-`, `-5` or `file` is no option. */
function optionName(arg: string): string | undefined {
  return /^-(?!\d|$)/.test(arg) ? arg.split("=", 1)[0] : undefined;
}
