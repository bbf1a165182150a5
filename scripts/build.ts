// Compiles the program to one executable per target. `bun scripts/build.ts` builds dist/tbgw for this machine,
// `--out FILE` elsewhere, `--target NAME` one of the five Linux targets, `--all` a release: all of them, also compressed, with
// checksums, the list of parts and the installer. The same commit gives the same bytes, on any day and in any folder.
import { copyFile, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { embeddedAuthorFiles } from "./author-files.ts";
import { BUNDLE } from "./bundle-options.ts";
import { pack, packLibraries } from "./packed-libraries.ts";
import { finishRelease } from "./release/finish.ts";
import { bundledPackages, cycloneDx, licensesText } from "./release/third-party.ts";

const root = join(import.meta.dir, "..");
const { version } = manifest;
const dist = join(root, "dist");

/** Targets by the name of their file. */
const TARGETS = {
  // Named in full: without "modern" the runtime for old processors is taken.
  "linux-x64": "bun-linux-x64-modern",
  "linux-x64-baseline": "bun-linux-x64-baseline",
  "linux-x64-musl": "bun-linux-x64-musl",
  "linux-arm64": "bun-linux-arm64",
  "linux-arm64-musl": "bun-linux-arm64-musl",
} as const satisfies Record<string, Bun.Build.CompileTarget>;

/** A worker's file must be an entry point too, or the thread silently never starts. */
const ENTRY_POINTS = [
  "src/main.ts",
  "src/delivery/worker.ts",
  "src/extension/isolate.ts",
  "src/extension/author-thread.ts",
];

const DAY_MS = 86_400_000;

/** Start of the day (UTC) of SOURCE_DATE_EPOCH, else of the commit, else of today. */
function buildDayMs(): number {
  const git = Bun.spawnSync(["git", "log", "-1", "--format=%ct"], { cwd: root, stderr: "ignore" });
  const seconds = Number(process.env["SOURCE_DATE_EPOCH"] ?? git.stdout.toString());
  const builtMs = seconds > 0 ? seconds * 1000 : Date.now();
  return Math.floor(builtMs / DAY_MS) * DAY_MS;
}

const BUILD_MS = buildDayMs();

/** Looks at what the program is made of: writes its licences, packed, and the list of its parts. */
async function collectParts(directory: string): Promise<{ licenses: string; parts: string }> {
  const { metafile } = await Bun.build({
    ...BUNDLE,
    entrypoints: ENTRY_POINTS.map((path) => join(root, path)),
    root,
    splitting: true,
    metafile: true,
  });
  if (metafile === undefined) {
    throw new Error("Cannot see what the program is made of: Bun gave no metafile");
  }
  const packages = await bundledPackages(root, metafile);
  const runtime = await readFile(join(root, "scripts/release/runtime-licenses.txt"), "utf8");
  if (!runtime.includes(`version ${Bun.version},`)) {
    throw new Error(`scripts/release/runtime-licenses.txt is not about Bun ${Bun.version}`);
  }
  const text = join(directory, "licenses.txt");
  await writeFile(text, licensesText(packages, runtime));
  const built = new Date(BUILD_MS).toISOString();
  const parts = cycloneDx(packages, { version, bunVersion: Bun.version, built });
  return { licenses: await pack(text), parts };
}

/** Replaces the module of the licences by one that unpacks the embedded text. */
function embeddedLicenses(path: string): Bun.BunPlugin {
  return {
    name: "embedded-licenses",
    setup: (builder) => {
      builder.onLoad({ filter: /\/src\/commands\/licenses-text\.ts$/ }, () => ({
        loader: "ts",
        contents: [
          `import path from ${JSON.stringify(path)} with { type: "file" };`,
          'import { brotliDecompressSync } from "node:zlib";',
          "export const licensesText = async () =>",
          "  brotliDecompressSync(await Bun.file(path).bytes()).toString();",
        ].join("\n"),
      }));
    },
  };
}

async function build(outfile: string, target: Bun.Build.CompileTarget | undefined): Promise<void> {
  const result = await Bun.build({
    ...BUNDLE,
    entrypoints: ENTRY_POINTS.map((path) => join(root, path)),
    root,
    bytecode: true,
    // Of each module its top level only; functions are compiled when they are first called. All of them: 6 MB more, for 25 ms of the start.
    bytecodeDepth: 0,
    // Both threads share what they have in common, and what a command does not need is not loaded.
    splitting: true,
    plugins: [...BUNDLE.plugins, ...libraries.plugins, embeddedLicenses(licenses), authorFiles],
    sourcemap: "none",
    define: { ...BUNDLE.define, TBGW_BUILD_MS: String(BUILD_MS) },
    external: [...BUNDLE.external, ...libraries.external],
    compile: {
      outfile,
      ...(target === undefined ? {} : { target }),
      autoloadBunfig: false,
      autoloadDotenv: false,
      // A node_modules folder beside an extension is looked into.
      autoloadPackageJson: true,
    },
  });
  for (const log of result.logs) {
    console.error(log.message);
  }
  if (!result.success) {
    throw new Error(`Cannot build ${outfile}`);
  }
  const { size } = await stat(outfile);
  console.log(`${outfile} ${(size / 1e6).toFixed(1)} MB`);
}

await mkdir(join(dist, "build"), { recursive: true });
const libraries = await packLibraries(join(dist, "build"));
const authorFiles = await embeddedAuthorFiles(join(dist, "build"));
const { licenses, parts } = await collectParts(join(dist, "build"));
const args = process.argv.slice(2);
const all = args.includes("--all");
const wanted = all ? Object.keys(TARGETS) : [];
const named = args.indexOf("--target");
if (named >= 0) {
  wanted.push(args[named + 1] ?? "");
}
const outAt = args.indexOf("--out");
if (wanted.length === 0) {
  await build(outAt >= 0 ? (args[outAt + 1] ?? "") : join(dist, "tbgw"), undefined);
}
for (const name of wanted) {
  const target = Object.entries(TARGETS).find(([key]) => key === name)?.[1];
  if (target === undefined) {
    throw new Error(`Cannot build "${name}": known targets are ${Object.keys(TARGETS).join(", ")}`);
  }
  await build(join(dist, `tbgw-${name}`), target);
}
if (all) {
  await writeFile(join(dist, "tbgw.cdx.json"), parts);
  await copyFile(join(root, "scripts/install.sh"), join(dist, "install.sh"));
  const names = wanted.map((name) => `tbgw-${name}`);
  await finishRelease(dist, names, ["tbgw.cdx.json", "install.sh"]);
}
