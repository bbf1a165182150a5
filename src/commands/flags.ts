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

/** The options that say where extensions are, for each command that loads them. */
export const extensionArgs = {
  extensions: {
    type: "string",
    description: "Folder with extensions, before the usual ones; may be given several times",
    valueHint: "DIR",
  },
  "allow-insecure-extensions": {
    type: "boolean",
    description: "Load extensions that everybody on this machine may write to",
  },
} as const;

/** Every value of an option that may be given several times, in their order. @throws UsageError when one has no value */
export function valuesOf(args: readonly string[], name: string): readonly string[] {
  const values: string[] = [];
  for (const [index, arg] of args.entries()) {
    if (arg === "--") {
      break;
    }
    const value = arg === `--${name}` ? args[index + 1] : arg.split(`--${name}=`, 2)[1];
    if (arg === `--${name}` || arg.startsWith(`--${name}=`)) {
      if (value === undefined || value === "" || value.startsWith("--")) {
        throw new UsageError(`--${name} needs a value`);
      }
      values.push(value);
    }
  }
  return values;
}

/** What a command line says about extensions. @throws UsageError */
export function extensionFlags(
  rawArgs: readonly string[],
  args: { readonly "allow-insecure-extensions"?: boolean | undefined },
): { readonly extensions: readonly string[]; readonly allowInsecure: boolean } {
  return {
    extensions: valuesOf(rawArgs, "extensions"),
    allowInsecure: args["allow-insecure-extensions"] === true,
  };
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
