// Runs the long modes of the fault suite again and again, each time with another seed: `bun scripts/soak.ts [MINUTES] [FILE…]`. Begins no
// further round after MINUTES (default 60). Files are those of test/fault; default: all. A failed round is printed whole,
// with the seeds that replay it.
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const [minutes = "60", ...names] = process.argv.slice(2);
const files = names.length === 0 ? ["test/fault"] : names;
const limitMs = Number(minutes) * 60_000;
if (!(limitMs > 0)) {
  throw new Error(`Cannot soak for "${minutes}" minutes: need a number above 0`);
}

let rounds = 0;
let failed = 0;
while (rounds === 0 || performance.now() < limitMs) {
  rounds += 1;
  const child = Bun.spawn([process.execPath, "test", "--timeout", "900000", ...files], {
    cwd: root,
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, TBGW_FAULT: "full", NO_COLOR: "1", FORCE_COLOR: "0" },
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const minute = Math.round(performance.now() / 60_000);
  if (code === 0) {
    console.log(`ok    round ${rounds}, minute ${minute}`);
  } else {
    failed += 1;
    console.log(`${stdout}${stderr}`.trimEnd());
    console.log(`FAIL  round ${rounds}, minute ${minute}`);
  }
}
console.log(`${rounds - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
