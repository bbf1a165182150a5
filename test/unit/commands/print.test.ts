import { expect, test } from "bun:test";
import { join } from "node:path";

const module = join(import.meta.dir, "../../../src/commands/print.ts");
const program = `
  const { print } = await import(${JSON.stringify(module)});
  await print("x".repeat(1_000_000));
  process.exit(0);
`;

/** Starts the program; it needs no shell, which may be missing where the tests run. */
function start(): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  return Bun.spawn([process.execPath, "-e", program], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

test("print() hands over all of a long text before the process exits", async () => {
  const child = start();
  expect(await new Response(child.stdout).text()).toHaveLength(1_000_000);
  expect(await child.exited).toBe(0);
});

test("print() is content with a reader that went away", async () => {
  const child = start();
  const reader = child.stdout.getReader();
  expect((await reader.read()).value?.length).toBeGreaterThan(0);
  await reader.cancel();
  expect(await new Response(child.stderr).text()).toBe("");
  expect(await child.exited).toBe(0);
});
