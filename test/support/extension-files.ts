import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Writes files of extensions, by their path in `root`; nobody else may write to them, whatever the umask. */
export function writeExtensions(root: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    writeFileSync(path, text);
    chmodSync(path, 0o644);
  }
}

/** The text of a file with one uplink converter that imports nothing. */
export function uplinkText(
  name: string,
  options: { type?: string; more?: string; device?: string } = {},
): string {
  const { type = "mqtt", more = "", device = name } = options;
  return `export default {
  kind: "uplink", api: 1, name: ${JSON.stringify(name)}, type: ${JSON.stringify(type)}, ${more}
  schema: { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } },
  create: () => () => ({ deviceName: ${JSON.stringify(device)}, attributes: { ok: true } }),
};
`;
}

/** The text of a file with one connector that runs until it is stopped. */
export function connectorText(
  options: { name?: string; type?: string; more?: string; body?: string } = {},
): string {
  const { name, type = "beacon", more = "", body = "" } = options;
  return `import { defineConnector } from "tbgw/sdk";
import * as v from "valibot";
export default defineConnector({
  ${name === undefined ? "" : `name: ${JSON.stringify(name)},`} type: ${JSON.stringify(type)}, ${more}
  schema: v.looseObject({ period: v.optional(v.number(), 1) }),
  create: (config, host) => ({
    async run(signal) {
      ${body}
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },
    async [Symbol.asyncDispose]() {},
  }),
});
`;
}
