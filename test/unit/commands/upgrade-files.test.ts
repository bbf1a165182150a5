import { describe, expect, test } from "bun:test";
import { existsSync, linkSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  exchange,
  foreignFormat,
  listedChecksum,
  programFiles,
  restore,
  stage,
  swap,
} from "../../../src/commands/upgrade-files.ts";
import { type Health, whatIsWorse } from "../../../src/commands/upgrade-health.ts";
import { temporaryDir } from "../../support/temporary-dir.ts";

/** A folder with an installed program "old" and a file "new" that is to replace it. */
function scene(path: string) {
  writeFileSync(join(path, "tbgw"), "old", { mode: 0o755 });
  writeFileSync(join(path, "download"), "new");
  return { files: programFiles(join(path, "tbgw")), download: join(path, "download") };
}

describe("the files of an upgrade", () => {
  test("swap() puts the new program in place, executable, and keeps the one before", async () => {
    using dir = temporaryDir();
    const { files, download } = scene(dir.path);
    await stage(download, files);
    swap(files, () => undefined);
    expect(readFileSync(files.target, "utf8")).toBe("new");
    expect(statSync(files.target).mode & 0o777).toBe(0o755);
    expect(readFileSync(files.previous, "utf8")).toBe("old");
    expect(readdirSync(dir.path).toSorted()).toEqual(["download", "tbgw", "tbgw.previous"]);
  });

  test("swap() goes on after a power cut at any of its steps", async () => {
    // What each step leaves behind when nothing follows it.
    const cuts: readonly ((path: string) => void)[] = [
      (path) => writeFileSync(join(path, "tbgw.next"), "half of n"),
      (path) => linkSync(join(path, "tbgw"), join(path, "tbgw.previous.new")),
      (path) => linkSync(join(path, "tbgw"), join(path, "tbgw.previous")),
    ];
    for (const cut of cuts) {
      using dir = temporaryDir();
      const { files, download } = scene(dir.path);
      cut(dir.path);
      expect(readFileSync(files.target, "utf8")).toBe("old");
      await stage(download, files);
      swap(files, () => undefined);
      expect(readFileSync(files.target, "utf8")).toBe("new");
      expect(readFileSync(files.previous, "utf8")).toBe("old");
      expect(readdirSync(dir.path).toSorted()).toEqual(["download", "tbgw", "tbgw.previous"]);
    }
  });

  test("restore() brings back the previous program, exchange() both ways", async () => {
    using dir = temporaryDir();
    const { files, download } = scene(dir.path);
    await stage(download, files);
    swap(files, () => undefined);
    exchange(files);
    expect([readFileSync(files.target, "utf8"), readFileSync(files.previous, "utf8")]).toEqual([
      "old",
      "new",
    ]);
    exchange(files);
    restore(files);
    expect(readFileSync(files.target, "utf8")).toBe("old");
    expect(existsSync(files.next)).toBe(false);
  });

  test("listedChecksum() finds the line of the file, as sha256sum writes it", () => {
    using dir = temporaryDir();
    const [one, other] = ["ab".repeat(32), "cd".repeat(32)];
    writeFileSync(join(dir.path, "SHA256SUMS"), `${one}  tbgw-x\n${other.toUpperCase()} *tbgw\n`);
    expect(listedChecksum(join(dir.path, "tbgw"))).toBe(other);
    expect(listedChecksum(join(dir.path, "tbgw-x"))).toBe(one);
    expect(listedChecksum(join(dir.path, "bgw"))).toBeUndefined();
  });

  test("foreignFormat() knows this machine's programs, scripts and everything else", () => {
    using dir = temporaryDir();
    expect(foreignFormat(process.execPath)).toBeUndefined();
    const { download } = scene(dir.path);
    expect(foreignFormat(download)).toBe("it is no program of Linux");
    writeFileSync(download, "#!/bin/sh\n");
    expect(foreignFormat(download)).toBeUndefined();
    const elf = readFileSync(process.execPath).subarray(0, 64);
    elf.writeUInt16LE(0x28, 18);
    writeFileSync(download, elf);
    expect(foreignFormat(download)).toBe(
      `it is for the processor arm, and this machine has ${process.arch}`,
    );
  });
});

test("whatIsWorse() names what worked before and does not now, and nothing else", () => {
  const connector = { name: "Line", state: "running", link: "connected" };
  const before: Health = {
    pid: 1,
    version: "1",
    link: "connected",
    delivery: "answering",
    connectors: [connector],
  };
  const after: Health = { ...before, pid: 2, version: "2" };
  expect(whatIsWorse(before, after)).toBeUndefined();
  expect(whatIsWorse(before, before)).toBe("the process of before still runs");
  expect(whatIsWorse(before, { ...after, link: "waiting" })).toBe(
    "the platform is not reached: waiting",
  );
  const without = (one: object): Health => ({ ...after, connectors: [{ ...connector, ...one }] });
  expect(whatIsWorse(before, without({ state: "failed" }))).toBe(
    'the connector "Line" is failed, and was running',
  );
  expect(whatIsWorse(before, { ...after, connectors: [] })).toBe(
    'the connector "Line" is gone, and was running',
  );
  expect(whatIsWorse(before, without({ link: "disconnected" }))).toMatch(/has no link/);
  // What did not work before is not the fault of the program.
  const bad: Health = {
    ...before,
    link: "waiting",
    connectors: [{ ...connector, link: undefined }],
  };
  expect(whatIsWorse(bad, { ...bad, pid: 2 })).toBeUndefined();
  expect(whatIsWorse(undefined, without({ state: "failed" }))).toBeUndefined();
});
