// Compiles the program to one executable per target. `bun scripts/build.ts` builds dist/tbgw for this machine,
// `--out FILE` elsewhere, `--all` the five Linux targets, `--target NAME` one of them.
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
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
const ENTRY_POINTS = ["src/main.ts", "src/delivery/worker.ts"];

/** Start of the day (UTC) of this build, or of the date in SOURCE_DATE_EPOCH: builds of one day are the same. */
const DAY_MS = 86_400_000;
const { SOURCE_DATE_EPOCH: fixedSeconds } = process.env;
const builtMs = fixedSeconds === undefined ? Date.now() : Number(fixedSeconds) * 1000;
const BUILD_MS = Math.floor(builtMs / DAY_MS) * DAY_MS;

/** The OPC UA stack, of which only a gateway with an OPC UA connector needs anything. */
const LIBRARY_ENTRY = join(root, "connectors/opcua/library-entry.ts");

/** What the embedded stack is imported by. */
const LIBRARY_NAME = "tbgw-opcua-library";

/** Packages that libraries try to load and do without. */
const OPTIONAL = ["proper-lockfile"];

/** Identifiers stay: class names are part of what some libraries do at run time. */
const MINIFY = { whitespace: true, syntax: true, identifiers: false };

/** Bundles the OPC UA stack into one script; it is embedded as a packed file: 0.5 MB instead of 3 MB, or 11 MB as bytecode. */
async function bundleLibrary(directory: string): Promise<string> {
  const result = await Bun.build({
    entrypoints: [LIBRARY_ENTRY],
    target: "bun",
    format: "esm",
    minify: MINIFY,
    external: OPTIONAL,
    outdir: directory,
    naming: "opcua-library.js",
  });
  if (!result.success) {
    throw new AggregateError(result.logs, "Cannot bundle the OPC UA stack");
  }
  const script = await readFile(join(directory, "opcua-library.js"));
  const packed = join(directory, "opcua-library.js.zst");
  await writeFile(packed, Bun.zstdCompressSync(script, { level: 19 }));
  return packed;
}

/** Replaces the module that imports the OPC UA stack by one that unpacks and loads the embedded script. */
function embedded(library: string): Bun.BunPlugin {
  return {
    name: "embedded-opcua-library",
    setup: (builder) => {
      builder.onLoad({ filter: /connectors\/opcua\/library\.ts$/ }, () => ({
        loader: "ts",
        contents: [
          `import path from ${JSON.stringify(library)} with { type: "file" };`,
          "export async function loadLibrary() {",
          "  const contents = Bun.zstdDecompressSync(await Bun.file(path).bytes()).toString();",
          '  const module = () => ({ contents, loader: "js" });',
          `  const name = ${JSON.stringify(LIBRARY_NAME)};`,
          "  Bun.plugin({ name, setup: (builder) => void builder.module(name, module) });",
          "  return await import(name);",
          "}",
        ].join("\n"),
      }));
    },
  };
}

async function build(outfile: string, target: Bun.Build.CompileTarget | undefined): Promise<void> {
  const result = await Bun.build({
    entrypoints: ENTRY_POINTS.map((path) => join(root, path)),
    root,
    target: "bun",
    format: "esm",
    bytecode: true,
    // Both threads share what they have in common, and what a command does not need is not loaded.
    splitting: true,
    minify: MINIFY,
    plugins: [embedded(library)],
    sourcemap: "none",
    define: {
      "process.env.NODE_ENV": '"production"',
      // The libraries take the streams of the run time, which are loaded anyway.
      "process.env.READABLE_STREAM": '"disable"',
      TBGW_BUILD_MS: String(BUILD_MS),
    },
    external: [...OPTIONAL, LIBRARY_NAME],
    compile: {
      outfile,
      ...(target === undefined ? {} : { target }),
      autoloadBunfig: false,
      autoloadDotenv: false,
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

await mkdir(dist, { recursive: true });
const library = await bundleLibrary(join(dist, "build"));
const args = process.argv.slice(2);
const wanted = args.includes("--all") ? Object.keys(TARGETS) : [];
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
