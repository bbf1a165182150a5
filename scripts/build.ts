// Compiles the program to one executable per target. `bun scripts/build.ts` builds dist/tbgw for this machine,
// `--out FILE` elsewhere, `--all` the five Linux targets, `--target NAME` one of them.
import { mkdir, stat } from "node:fs/promises";
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

async function build(outfile: string, target: Bun.Build.CompileTarget | undefined): Promise<void> {
  const result = await Bun.build({
    entrypoints: ENTRY_POINTS.map((path) => join(root, path)),
    root,
    target: "bun",
    format: "esm",
    bytecode: true,
    // Both threads share what they have in common, and what a command does not need is not loaded.
    splitting: true,
    // Identifiers stay: class names are part of what some libraries do at run time.
    minify: { whitespace: true, syntax: true, identifiers: false },
    sourcemap: "none",
    define: { "process.env.NODE_ENV": '"production"', TBGW_BUILD_MS: String(BUILD_MS) },
    external: OPTIONAL,
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

/** Packages that libraries try to load and do without. */
const OPTIONAL: string[] = [];

await mkdir(dist, { recursive: true });
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
