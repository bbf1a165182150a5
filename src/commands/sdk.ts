import { defineCommand } from "citty";
import { authorFiles } from "../extension/author-files.ts";
import { UsageError } from "./flags.ts";
import { print } from "./print.ts";

/** The modules whose declarations can be printed, by the name of their file. */
const FILES = {
  sdk: "tbgw-sdk.d.ts",
  testing: "tbgw-testing.d.ts",
  valibot: "valibot.d.ts",
} as const;

/** `tbgw sdk` */
export const sdkCommand = defineCommand({
  meta: { name: "sdk", description: "Print the type declarations of the module tbgw/sdk" },
  args: {
    module: {
      type: "positional",
      required: false,
      description: "sdk (default), testing or valibot: the modules an extension may import",
    },
  },
  run: async ({ args }) => {
    const name = args.module ?? "sdk";
    if (args._.length > 1 || !isModule(name)) {
      throw new UsageError(`sdk takes one name of ${Object.keys(FILES).join(", ")}`);
    }
    await print((await authorFiles())[FILES[name]] ?? "");
    return 0;
  },
});

function isModule(name: string): name is keyof typeof FILES {
  return Object.hasOwn(FILES, name);
}
