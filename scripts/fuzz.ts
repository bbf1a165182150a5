// Runs every property test with many times the usual examples, again and again: `bun scripts/fuzz.ts [MINUTES] [FILE…]`. Begins no further
// round after MINUTES (default 10). Files default to all below test/ that use fast-check. A failed round is printed whole, with the
// seed and path of the counterexample; give both to `fc.assert` to replay it, and keep it as a test.
import { join } from "node:path";

/** Times the examples of a normal run. */
const FACTOR = 30;
const TIMEOUT_MS = 1_800_000;

const root = join(import.meta.dir, "..");
const [minutes = "10", ...names] = process.argv.slice(2);
const limitMs = Number(minutes) * 60_000;
if (!(limitMs > 0)) {
  throw new Error(`Cannot fuzz for "${minutes}" minutes: need a number above 0`);
}

/** Files with properties. */
async function propertyFiles(): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const path of new Bun.Glob("test/**/*.test.ts").scan({ cwd: root })) {
    const text = await Bun.file(join(root, path)).text();
    if (text.includes('from "fast-check"')) {
      found.push(`./${path}`);
    }
  }
  return found.toSorted();
}

const files = names.length === 0 ? await propertyFiles() : names;
const options = ["--timeout", String(TIMEOUT_MS), "--preload", "./test/support/fuzz-preload.ts"];
let rounds = 0;
let failed = 0;
while (rounds === 0 || performance.now() < limitMs) {
  rounds += 1;
  const child = Bun.spawn([process.execPath, "test", ...options, ...files], {
    cwd: root,
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, TBGW_FUZZ: String(FACTOR), NO_COLOR: "1", FORCE_COLOR: "0" },
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const minute = Math.round(performance.now() / 60_000);
  if (code === 0) {
    console.log(`ok    round ${rounds}, minute ${minute}, ${files.length} files`);
  } else {
    failed += 1;
    console.log(`${stdout}${stderr}`.trimEnd());
    console.log(`FAIL  round ${rounds}, minute ${minute}`);
  }
}
console.log(`${rounds - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
