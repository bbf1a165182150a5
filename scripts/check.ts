// Everything that must pass before a commit, in order: `bun scripts/check.ts`. `lint` and `test`
// run one half of it, `heavy` the suites that need mosquitto and the built program. Closes with one line `N passed, N failed`.
import { join } from "node:path";

const root = join(import.meta.dir, "..");

/** Passed and failed, of one step or of all. */
interface Count {
  passed: number;
  failed: number;
}

/** Suites with peers from npm only: they run on any machine. */
const SUITES = ["test/tidy.test.ts", "test/unit", "test/contract", "test/cases", "test/wire"];
/** Suites that need independent peers or the built program. */
const HEAVY_SUITES = ["test/fault", "test/e2e"];

const LINT: readonly (readonly string[])[] = [
  ["x", "biome", "ci", "--error-on-warnings", "."],
  ["x", "oxlint", "--deny-warnings"],
  ["x", "tsc", "-p", "."],
  ["scripts/gen-docs.ts", "--check"],
];

async function run(args: readonly string[]): Promise<{ code: number; output: string }> {
  const child = Bun.spawn([process.execPath, ...args], {
    cwd: root,
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" },
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output: stdout + stderr };
}

/** A tool that either passes or does not. */
async function step(args: readonly string[]): Promise<Count> {
  const { code, output } = await run(args);
  const name = args.join(" ");
  if (code === 0) {
    console.log(`ok    ${name}`);
    return { passed: 1, failed: 0 };
  }
  console.log(output.trimEnd());
  console.log(`FAIL  ${name} (exit ${code})`);
  return { passed: 0, failed: 1 };
}

/** One test suite; a suite in which nothing ran has failed. */
async function suite(path: string): Promise<Count> {
  const startedMs = performance.now();
  const { code, output } = await run(["test", "--timeout", "60000", path]);
  const passed = Number(/^\s*(\d+) pass$/m.exec(output)?.[1] ?? 0);
  const failed = Number(/^\s*(\d+) fail$/m.exec(output)?.[1] ?? 0);
  const broken = code !== 0 && failed === 0 ? 1 : 0;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  if (code === 0 && passed > 0) {
    console.log(`ok    ${path}: ${passed} tests in ${seconds} s`);
  } else {
    console.log(output.trimEnd());
    console.log(`FAIL  ${path}: ${passed} passed, ${failed + broken} failed in ${seconds} s`);
  }
  return { passed, failed: Math.max(failed + broken, passed === 0 ? 1 : 0) };
}

async function main(mode: string | undefined): Promise<number> {
  const count: Count = { passed: 0, failed: 0 };
  const add = (more: Count): void => {
    count.passed += more.passed;
    count.failed += more.failed;
  };
  const parts = mode === undefined ? ["lint", "test"] : [mode];
  for (const args of parts.includes("lint") ? LINT : []) {
    add(await step(args));
  }
  for (const path of parts.includes("test") ? SUITES : []) {
    add(await suite(path));
  }
  for (const path of parts.includes("heavy") ? HEAVY_SUITES : []) {
    add(await suite(path));
  }
  console.log(`${count.passed} passed, ${count.failed} failed`);
  return count.failed === 0 ? 0 : 1;
}

process.exit(await main(process.argv[2]));
