import { join } from "node:path";

const root = join(import.meta.dir, "..");

/** Tests that are run again and again. */
export interface Rounds {
  /** No further round begins after so many minutes, as it was typed in. */
  readonly minutes: string;
  /** Arguments of `bun test`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Runs tests in rounds and prints how each ended, a failed one whole. Gives the exit code. @throws Error when `minutes` is no number above 0 */
export async function runRounds({ minutes, args, env }: Rounds): Promise<number> {
  const limitMs = Number(minutes) * 60_000;
  if (!(limitMs > 0)) {
    throw new Error(`Cannot test for "${minutes}" minutes: need a number above 0`);
  }
  let rounds = 0;
  let failed = 0;
  while (rounds === 0 || performance.now() < limitMs) {
    rounds += 1;
    const child = Bun.spawn([process.execPath, "test", ...args], {
      cwd: root,
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...env, NO_COLOR: "1", FORCE_COLOR: "0" },
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
  return failed === 0 ? 0 : 1;
}
