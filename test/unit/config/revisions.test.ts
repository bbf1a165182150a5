import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stageFile, writeFileAtomically } from "../../../src/config/atomic-file.ts";
import { Revisions } from "../../../src/config/revisions.ts";
import { epochMs } from "../../../src/sdk/model.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "tbgw-revisions-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe("Revisions", () => {
  const made = (time: number, source: "local" | "remote" = "local") => ({
    source,
    time: epochMs(time),
  });

  test("keep() keeps a content only when it differs from the newest, and ten at most", () => {
    const revisions = new Revisions(join(dir, "data"), dir);
    expect(revisions.keep(join(dir, "mqtt.json"), "0", made(1))).toBe(true);
    expect(revisions.keep(join(dir, "mqtt.json"), "0", made(2))).toBe(false);
    for (let index = 1; index <= 14; index += 1) {
      revisions.keep(join(dir, "mqtt.json"), String(index), made(100 + index, "remote"));
    }
    revisions.keep(join(dir, "mqtt2.json"), "another file", made(1));
    const kept = revisions.list("mqtt.json");
    expect(kept.map((revision) => revisions.read(revision))).toEqual([
      "14",
      "13",
      "12",
      "11",
      "10",
      "9",
      "8",
      "7",
      "6",
      "5",
    ]);
    expect(kept[0]).toMatchObject({ name: "mqtt.json", source: "remote", time: 114 });
    expect(revisions.names()).toEqual(["mqtt.json", "mqtt2.json"]);
    expect(revisions.list()).toHaveLength(11);
  });

  test("keep() keeps the order when the clock was set back", () => {
    const revisions = new Revisions(join(dir, "data"), dir);
    revisions.keep(join(dir, "a.json"), "first", made(5000));
    revisions.keep(join(dir, "a.json"), "second", made(10));
    expect(revisions.list("a.json").map((one) => revisions.read(one))).toEqual(["second", "first"]);
  });

  test("keeps what only the owner may read, also of files elsewhere", () => {
    const revisions = new Revisions(join(dir, "data"), join(dir, "config"));
    revisions.keep(join(dir, "other/x.json"), "{}", made(1));
    const [only] = revisions.list();
    expect(only?.name).toBe("../other/x.json");
    expect(statSync(only?.path ?? "").mode & 0o777).toBe(0o600);
  });
});

describe("stageFile()", () => {
  test("changes nothing before commit(), and leaves nothing after discard()", () => {
    const file = join(dir, "a.json");
    writeFileSync(file, "old");
    const staged = stageFile(file, "new");
    expect(readFileSync(file, "utf8")).toBe("old");
    staged.discard();
    expect(readdirSync(dir)).toEqual(["a.json"]);
    stageFile(file, "new").commit();
    expect(readFileSync(file, "utf8")).toBe("new");
    expect(readdirSync(dir)).toEqual(["a.json"]);
  });

  test("follows a symbolic link, and throws before anything changes", () => {
    writeFileSync(join(dir, "real.json"), "old");
    symlinkSync(join(dir, "real.json"), join(dir, "link.json"));
    writeFileAtomically(join(dir, "link.json"), "new");
    expect(readFileSync(join(dir, "real.json"), "utf8")).toBe("new");
    expect(() => stageFile(join(dir, "missing/a.json"), "x")).toThrow();
  });
});
