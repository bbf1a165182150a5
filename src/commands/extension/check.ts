import { resolve } from "node:path";
import { defineCommand } from "citty";
import type { CheckTask } from "../../extension/author-port.ts";
import { extensionArgs, UsageError } from "../flags.ts";
import { runTask } from "./task.ts";

/** What `check` and `test` have in common. */
export const COMMON_ARGS = {
  file: { type: "positional", required: true, description: "The file of the extension" },
  config: {
    type: "string",
    valueHint: "FILE",
    description: "Configuration: of a connector its file, of a converter the element that names it",
  },
  name: {
    type: "string",
    valueHint: "NAME",
    description: "Which one, when the file defines several",
  },
  "allow-insecure-extensions": extensionArgs["allow-insecure-extensions"],
} as const;

/** `tbgw extension check` */
export const checkCommand = defineCommand({
  meta: {
    name: "check",
    description:
      "Say what a file defines and whether it loads; exit code 3: the configuration does not fit",
  },
  args: COMMON_ARGS,
  run: async ({ args }) => await runTask({ kind: "check", ...commonOf(args) }),
});

/** @throws UsageError when there is more than one file */
export function commonOf(args: {
  readonly _: readonly string[];
  readonly file: string;
  readonly config?: string | undefined;
  readonly name?: string | undefined;
  readonly "allow-insecure-extensions"?: boolean | undefined;
}): Omit<CheckTask, "kind"> {
  if (args._.length > 1) {
    throw new UsageError(`There is one FILE, not "${args._.join(" ")}"`);
  }
  const { config, name } = args;
  return {
    file: resolve(args.file),
    config: config === undefined ? undefined : resolve(config),
    name,
    allowInsecure: args["allow-insecure-extensions"] === true,
    env: { ...process.env },
  };
}
