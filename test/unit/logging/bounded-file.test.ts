import { expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { BoundedFile } from "../../../src/logging/bounded-file.ts";
import { temporaryDir } from "../../support/temporary-dir.ts";

test("BoundedFile keeps every line in order, in two files of 5 MiB at most, over restarts", async () => {
  using dir = temporaryDir();
  const path = join(dir.path, "logs/tbgw.log");
  const line = (index: number): string => `${String(index).padStart(8, "0")} ${"x".repeat(1014)}\n`;
  for (let start = 0; start < 12_000; start += 4000) {
    await using file = new BoundedFile(path);
    for (let index = start; index < start + 4000; index += 1) {
      file.write(line(index));
    }
  }
  expect((await readdir(join(dir.path, "logs"))).toSorted()).toEqual(["tbgw.log", "tbgw.log.1"]);
  for (const name of [path, `${path}.1`]) {
    expect(statSync(name).size).toBeLessThanOrEqual(5 * 1024 * 1024);
    expect(statSync(name).mode & 0o777).toBe(0o640 & ~process.umask());
  }
  const kept = (readFileSync(`${path}.1`, "utf8") + readFileSync(path, "utf8")).split("\n");
  const numbers = kept.filter((text) => text !== "").map((text) => Number(text.slice(0, 8)));
  expect(numbers.at(-1)).toBe(11_999);
  expect(numbers).toEqual(numbers.map((_one, at) => (numbers[0] ?? 0) + at));
});
