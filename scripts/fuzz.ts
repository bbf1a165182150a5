// Runs every property test with many times the usual examples, again and again: `bun scripts/fuzz.ts [MINUTES] [FILE…]`. Begins no further
// round after MINUTES (default 10). Files default to all below test/ that use fast-check. A failed round is printed whole, with the
// seed and path of the counterexample; give both to `fc.assert` to replay it, and keep it as a test.
import { join } from "node:path";
import { runRounds } from "./rounds.ts";

/** Times the examples of a normal run. */
const FACTOR = 30;
const TIMEOUT_MS = 1_800_000;

const root = join(import.meta.dir, "..");

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

const [minutes = "10", ...names] = process.argv.slice(2);
const files = names.length === 0 ? await propertyFiles() : names;
const options = ["--timeout", String(TIMEOUT_MS), "--preload", "./test/support/fuzz-preload.ts"];
const env = { TBGW_FUZZ: String(FACTOR) };
process.exit(await runRounds({ minutes, args: [...options, ...files], env }));
