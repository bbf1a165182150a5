import { expect, test } from "bun:test";
import { join } from "node:path";

const module = join(import.meta.dir, "../../../src/commands/print.ts");
const program = `
  const { print } = await import(${JSON.stringify(module)});
  await print("x".repeat(1_000_000));
  process.exit(0);
`;

async function output(command: string): Promise<{ text: string; stderr: string }> {
  const child = Bun.spawn(["sh", "-c", command], {
    env: { ...process.env, BUN: process.execPath, PROGRAM: program },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [text, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  return { text, stderr };
}

test("print() hands over all of a long text before the process exits", async () => {
  const { text } = await output('"$BUN" -e "$PROGRAM"');
  expect(text).toHaveLength(1_000_000);
});

test("print() is content with a reader that went away", async () => {
  const { text, stderr } = await output('"$BUN" -e "$PROGRAM" | head -c 5');
  expect(text).toBe("xxxxx");
  expect(stderr).toBe("");
});
