import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type CheckOptions, check } from "../../../src/commands/check.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import { testConnectors } from "../../support/config-connectors.ts";

// A case is a folder: `config/` as a user has it, `env.json` with environment variables, `expected.json` with what must come
// out. `issues` are the lines that `tbgw check` prints, file names relative to `config/`.
interface Expected {
  readonly exitCode: number;
  readonly fatal: boolean;
  readonly issues: readonly string[];
  readonly session?: object;
  readonly storage?: object;
  readonly leftBehind?: object;
  readonly connectors?: readonly object[];
}

const cases = readdirSync(import.meta.dir, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

async function json(path: string): Promise<unknown> {
  const file = Bun.file(path);
  return (await file.exists()) ? await file.json() : undefined;
}

describe.each(cases)("case %s", (name) => {
  const folder = join(import.meta.dir, name);
  const configDir = join(folder, "config");

  async function prepare(): Promise<{ options: CheckOptions; expected: Expected }> {
    // The files of a case are ours and have these shapes; a wrong one fails the comparison.
    const expected = (await json(join(folder, "expected.json"))) as Expected;
    const env = ((await json(join(folder, "env.json"))) ?? {}) as Record<string, string>;
    const options = { configDir, dataDir: "/nowhere", env, cwd: configDir };
    return { options: { ...options, connectorTypes: testConnectors }, expected };
  }

  test("check() prints exactly the expected issues", async () => {
    const { options, expected } = await prepare();
    const result = await check(options, { strict: false, json: false, explain: false });
    const [issues = ""] = result.text.split(/^(?=\d+ errors?, )/m);
    expect(issues.trim() === "" ? [] : issues.trim().split("\n")).toEqual([...expected.issues]);
    expect(result.exitCode).toBe(expected.exitCode === 3 ? 3 : 0);
  });

  test("loadConfiguration() gives the expected settings", async () => {
    const { options, expected } = await prepare();
    const loaded = await loadConfiguration(options);
    const { exitCode: _, issues: __, ...settings } = expected;
    expect({
      ...loaded,
      connectors: loaded.connectors.map((connector) => ({ ...connector })),
    }).toMatchObject(settings);
    if (expected.connectors !== undefined) {
      expect(loaded.connectors).toHaveLength(expected.connectors.length);
    }
  });
});
