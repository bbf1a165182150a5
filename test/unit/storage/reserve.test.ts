import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reserve } from "../../../src/storage/reserve.ts";

const SIZE_BYTES = 256 * 1024;

describe("Reserve", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tbgw-reserve-"));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test("takes its space, gives it up and takes it again", () => {
    const reserve = new Reserve(join(folder, "events.db"), SIZE_BYTES);
    const path = join(folder, "events.reserve");
    expect([reserve.restore(), statSync(path).size]).toEqual([true, SIZE_BYTES]);
    reserve.spend();
    expect([reserve.isSpent, existsSync(path)]).toEqual([true, false]);
    expect([reserve.allows(1, 0), statSync(path).size]).toEqual([true, SIZE_BYTES]);
  });

  test("looks before it writes: a disk without the space is not filled again with each commit", () => {
    let free = SIZE_BYTES - 1;
    const reserve = new Reserve(join(folder, "events.db"), SIZE_BYTES, () => free);
    reserve.spend();
    expect([reserve.allows(1000, 0), existsSync(join(folder, "events.reserve"))]).toEqual([
      false,
      false,
    ]);
    expect(reserve.allows(1000, 1_000_000)).toBe(true);
    free = SIZE_BYTES;
    expect(reserve.allows(1000, 0)).toBe(true);
  });

  test("a disk that does not answer is one without space, and no fault of the store", () => {
    symlinkSync("loop", join(folder, "loop"));
    const reserve = new Reserve(join(folder, "loop", "events.db"), SIZE_BYTES);
    expect(reserve.restore()).toBe(false);
    reserve.spend();
    expect([reserve.isSpent, reserve.allows(1000, 0)]).toEqual([true, false]);
  });
});
