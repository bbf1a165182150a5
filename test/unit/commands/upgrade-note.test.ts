import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { programFiles } from "../../../src/commands/upgrade-files.ts";
import { removeNote, upgradeState, writeNote } from "../../../src/commands/upgrade-note.ts";
import { unpackCommand } from "../../../src/commands/upgrade-source.ts";
import { temporaryDir } from "../../support/temporary-dir.ts";
import { until } from "../../support/until.ts";

test("upgradeState() tells an upgrade that goes on from one that nobody ends", async () => {
  using dir = temporaryDir();
  const files = programFiles(join(dir.path, "tbgw"));
  expect(upgradeState(files)).toBe("none");
  writeNote(files);
  const { bootId } = JSON.parse(readFileSync(files.pending, "utf8"));
  const note = (pid: number, boot: string = bootId): string =>
    JSON.stringify({ pid, bootId: boot });
  // A process that upgrades, by its name.
  await using child = Bun.spawn(["sh", "-c", "read line", "upgrade", "x"], { stdin: "pipe" });
  writeFileSync(files.pending, note(child.pid));
  await until("the process has its name", () => upgradeState(files) === "running");
  writeFileSync(files.pending, note(child.pid, "an earlier start of the machine"));
  expect(upgradeState(files)).toBe("abandoned");
  writeFileSync(files.pending, note(process.pid));
  expect(upgradeState(files)).toBe("abandoned");
  for (const half of ["", "null", "{}", note(child.pid).slice(0, -2)]) {
    writeFileSync(files.pending, half);
    expect(upgradeState(files)).toBe("abandoned");
  }
  removeNote(files);
  expect(existsSync(files.pending)).toBe(false);
});

test("unpackCommand() takes the first program that can unpack", () => {
  const machine = (...names: readonly string[]) =>
    unpackCommand((name) => (names.includes(name) ? `/bin/${name}` : undefined));
  expect(machine("xz", "unxz", "busybox")).toEqual(["/bin/xz", "-dc"]);
  expect(machine("unxz", "busybox")).toEqual(["/bin/unxz", "-c"]);
  expect(machine("busybox")).toEqual(["/bin/busybox", "unxz", "-c"]);
  expect(machine()).toBeUndefined();
});
