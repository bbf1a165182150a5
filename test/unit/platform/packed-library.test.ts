import { expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { loadPackedLibrary } from "../../../src/platform/packed-library.ts";

test("loadPackedLibrary() runs what two libraries share once, and each library once", async () => {
  await using stack = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), "tbgw-packed-"));
  stack.defer(() => rm(dir, { recursive: true }));
  const pack = async (name: string, text: string) => {
    const path = join(dir, `${name}.br`);
    await writeFile(path, brotliCompressSync(text));
    return { name, path };
  };
  const shared = await pack("packed-test-shared", "export const state = { evaluated: [] };");
  const use = 'import { state } from "packed-test-shared"; state.evaluated.push';
  const a = await pack("packed-test-a", `${use}("a"); export { state };`);
  const b = await pack("packed-test-b", `${use}("b"); export { state };`);

  const first = await loadPackedLibrary([a, shared]);
  const again = await loadPackedLibrary([a, shared]);
  const second = await loadPackedLibrary([b, shared]);

  expect(again).toBe(first);
  expect(first).toMatchObject({ state: { evaluated: ["a", "b"] } });
  expect(second).toMatchObject({ state: { evaluated: ["a", "b"] } });
});
