import { createHash } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { checkSizes, XZ } from "./budget.ts";

/** How many programs are compressed at the same time: each needs 700 MB of memory. */
const PARALLEL = 2;

/**
 * Compresses the programs and writes SHA256SUMS of all files of a release, compressed and not.
 * @throws Error when xz is missing or a program is over its budget
 */
export async function finishRelease(
  directory: string,
  programs: readonly string[],
  others: readonly string[],
): Promise<void> {
  if (Bun.which("xz") === null) {
    throw new Error('Cannot compress the programs: "xz" is missing (Debian: apt install xz-utils)');
  }
  const waiting = [...programs];
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      await compress(directory, name);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  const files = [...programs.flatMap((name) => [name, `${name}.xz`]), ...others].toSorted();
  const lines: string[] = [];
  for (const name of files) {
    const hash = createHash("sha256").update(await readFile(join(directory, name)));
    lines.push(`${hash.digest("hex")}  ${name}\n`);
  }
  await writeFile(join(directory, "SHA256SUMS"), lines.join(""));
}

async function compress(directory: string, name: string): Promise<void> {
  const path = join(directory, name);
  const child = Bun.spawn([...XZ, path], { stdout: Bun.file(`${path}.xz`), stderr: "inherit" });
  if ((await child.exited) !== 0) {
    throw new Error(`Cannot compress ${path}`);
  }
  const program = (await stat(path)).size;
  const compressed = (await stat(`${path}.xz`)).size;
  console.log(`${path}.xz ${(compressed / 1e6).toFixed(1)} MB`);
  checkSizes(name, program, compressed);
}
