import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StoreLock } from "../../../src/storage/store-lock.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tbgw-lock-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** What another process says when it wants the lock. */
function otherProcess(): string {
  const path = join(import.meta.dir, "../../../src/storage/store-lock.ts");
  const script = `import { StoreLock } from ${JSON.stringify(path)};
    try { StoreLock.take(${JSON.stringify(folder)}); console.log("taken"); }
    catch (error) { console.log(error.name + ": " + error.message); }`;
  const cwd = join(import.meta.dir, "../../..");
  return Bun.spawnSync([process.execPath, "-e", script], { cwd }).stdout.toString().trim();
}

test("take() refuses a folder that another process has, and says which", () => {
  using lock = StoreLock.take(folder);
  expect(lock).toBeDefined();
  expect(otherProcess()).toBe(
    `TransientError: Cannot use ${folder}: process ${process.pid} has it; one gateway per data directory`,
  );
});

test("dispose lets another process have the folder, and a process that has ended has none", () => {
  StoreLock.take(folder)[Symbol.dispose]();
  expect(otherProcess()).toBe("taken");
  using lock = StoreLock.take(folder);
  expect(lock).toBeDefined();
});

test("take() in the same process goes on while the lock of an ended thread is not collected", () => {
  using first = StoreLock.take(folder);
  using second = StoreLock.take(folder);
  expect([first, second]).toHaveLength(2);
});
