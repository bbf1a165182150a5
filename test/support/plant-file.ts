import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Writes a connector of `type` into a folder of extensions, as an author would. `body` is the block of `create(config, host)`; it may use
 * the whole of `tbgw/sdk` as `sdk` and `untilAborted(signal)`.
 */
export function writeExtension(root: string, type: string, body: string): string {
  const folder = join(root, type);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${type}.ts`);
  writeFileSync(
    file,
    `import * as sdk from "tbgw/sdk";
import * as v from "valibot";

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

export default sdk.defineConnector({
  type: ${JSON.stringify(type)},
  schema: v.looseObject({}),
  async create(config, host) {
${body}
  },
});
`,
  );
  return file;
}
