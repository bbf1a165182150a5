import { defineCommand } from "citty";

/** `tbgw extension` */
export const extensionCommand = defineCommand({
  meta: { name: "extension", description: "Write, check and try out connectors and converters" },
  subCommands: {
    new: async () => (await import("./extension/new.ts")).newCommand,
    check: async () => (await import("./extension/check.ts")).checkCommand,
    test: async () => (await import("./extension/test.ts")).testCommand,
    list: async () => (await import("./extension/list.ts")).listCommand,
  },
});
