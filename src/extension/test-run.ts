import { systemClock } from "#sdk/clock";
import { errorText } from "#sdk/errors";

/** How long one test may take. */
const TEST_MS = 30_000;

interface DeclaredTest {
  readonly name: string;
  readonly body: () => void | Promise<void>;
}

const declared: DeclaredTest[] = [];

/** Notes a test of the file that is being imported. */
export function declareTest(name: string, body: () => void | Promise<void>): void {
  declared.push({ name, body });
}

/** Runs the declared tests one after another and says how each ended. Gives the number of those that failed; none at all is a failure. */
export async function runTests(say: (line: string) => void): Promise<number> {
  let failed = 0;
  const tests = declared.splice(0);
  for (const { name, body } of tests) {
    const problem = await problemOf(body);
    failed += problem === undefined ? 0 : 1;
    say(problem === undefined ? `ok    ${name}` : `FAIL  ${name}: ${problem}`);
  }
  say(`${tests.length - failed} passed, ${failed} failed`);
  return tests.length === 0 ? 1 : failed;
}

async function problemOf(body: () => void | Promise<void>): Promise<string | undefined> {
  const late = Promise.withResolvers<never>();
  using _timer = systemClock.timer(TEST_MS, () =>
    late.reject(new Error(`it took longer than ${TEST_MS / 1000} s`)),
  );
  try {
    await Promise.race([Promise.resolve().then(body), late.promise]);
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}
