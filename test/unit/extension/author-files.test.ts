import { beforeAll, describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { chooseSkeleton } from "../../../src/commands/extension/new.ts";
import { authorFiles } from "../../../src/extension/author-files.ts";
import * as sdk from "../../../src/extension/modules.ts";
import { skeletonFiles } from "../../../src/extension/skeleton.ts";
import * as testing from "../../../src/extension/testing.ts";
import { codeBlocks } from "../../support/readme.ts";
import { temporaryDir } from "../../support/temporary-dir.ts";

const root = resolve(import.meta.dir, "../../..");

/** The compiler shares the machine with other tests. */
const TIMEOUT_MS = 60_000;

/** Every switch of the compiler that refuses something. */
const STRICTEST = {
  target: "ESNext",
  lib: ["ESNext", "DOM"],
  module: "Preserve",
  moduleResolution: "bundler",
  types: [],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noFallthroughCasesInSwitch: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  noUncheckedSideEffectImports: true,
  allowUnreachableCode: false,
  allowUnusedLabels: false,
  forceConsistentCasingInFileNames: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  isolatedModules: true,
  allowImportingTsExtensions: true,
  resolveJsonModule: true,
  skipLibCheck: false,
  noEmit: true,
};

const KINDS = [
  { name: "FirstConnector", kind: "connector" },
  { name: "TankUplink", kind: "uplink" },
  { name: "RegisterUplink", kind: "uplink", type: "modbus" },
  { name: "NodeUplink", kind: "uplink", type: "opcua" },
  { name: "LineUplink", kind: "uplink", type: "serial" },
  { name: "TenthsDownlink", kind: "downlink", type: "modbus" },
  { name: "greet", kind: "rpc" },
];

let files: Readonly<Record<string, string>> = {};

beforeAll(async () => {
  files = await authorFiles();
}, TIMEOUT_MS);

/** What the compiler says about a folder. */
async function compile(dir: string): Promise<string> {
  const child = Bun.spawn(
    [process.execPath, join(root, "node_modules/typescript/lib/tsc.js"), "-p", dir],
    { stdout: "pipe", stderr: "pipe", cwd: dir },
  );
  const output = await new Response(child.stdout).text();
  await child.exited;
  return output;
}

async function write(dir: string, path: string, text: string): Promise<void> {
  await mkdir(dirname(join(dir, path)), { recursive: true });
  await writeFile(join(dir, path), text);
}

/** Every skeleton in a folder, under the compiler's own configuration of a new extension or another one. */
async function writeAll(dir: string, compilerOptions?: object): Promise<void> {
  for (const given of KINDS) {
    for (const { path, text } of skeletonFiles(chooseSkeleton(given), files)) {
      await write(dir, path, text);
    }
  }
  if (compilerOptions !== undefined) {
    const own = JSON.parse(await Bun.file(join(dir, "tsconfig.json")).text());
    const { paths } = own.compilerOptions;
    await write(
      dir,
      "tsconfig.json",
      JSON.stringify({ compilerOptions: { ...compilerOptions, paths } }),
    );
  }
}

describe("the declarations for authors", () => {
  test("name every export of the modules, and need no other package", () => {
    for (const [file, module] of [
      ["tbgw-sdk.d.ts", sdk],
      ["tbgw-testing.d.ts", testing],
    ] as const) {
      const text = files[file] ?? "";
      const missing = Object.keys(module).filter(
        (name) => !new RegExp(`^export declare (function|class|const) ${name}\\b`, "m").test(text),
      );
      expect(missing).toEqual([]);
    }
    expect(files["tbgw-sdk.d.ts"]).not.toMatch(/^import /m);
    expect(files["tbgw-testing.d.ts"]?.match(/from "[^"]+"/g)).toEqual(['from "tbgw/sdk"']);
  });

  test("have the doc comments of the sources", () => {
    expect(files["tbgw-sdk.d.ts"]).toContain(
      "/** Cuts off a fraction. @throws DataError when `value` is not finite. */\nexport declare function epochMs(value: number): EpochMs;",
    );
  });

  test(
    "and every skeleton pass the strictest compiler",
    async () => {
      using dir = temporaryDir();
      await writeAll(dir.path, STRICTEST);
      expect(await compile(dir.path)).toBe("");
    },
    TIMEOUT_MS,
  );

  test(
    "and the examples of the tutorial pass the strictest compiler",
    async () => {
      using dir = temporaryDir();
      await writeAll(dir.path, {
        ...STRICTEST,
        types: ["bun"],
        typeRoots: [join(root, "node_modules/@types")],
      });
      const examples = codeBlocks("connectors/custom/README.md").filter(
        ({ file }) => file?.endsWith(".ts") === true,
      );
      expect(examples.length).toBe(3);
      for (const { file = "", text } of examples) {
        await write(dir.path, file.replace("config/extensions/", "examples/"), text);
      }
      expect(await compile(dir.path)).toBe("");
    },
    TIMEOUT_MS,
  );

  test(
    "with the settings of a new extension refuse a converter that gives something else than records",
    async () => {
      using dir = temporaryDir();
      await writeAll(dir.path);
      const path = "mqtt/tank-uplink.ts";
      const text = await Bun.file(join(dir.path, path)).text();
      await write(dir.path, path, text.replace("deviceName: topic", "device: topic"));
      const errors = (await compile(dir.path))
        .split("\n")
        .filter((line) => line.includes("error TS"));
      expect(errors).not.toEqual([]);
      expect(errors.filter((line) => !line.startsWith("mqtt/tank-uplink"))).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
