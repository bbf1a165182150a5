import { expect, test } from "bun:test";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { adviceFor, missingAdvice } from "../../../src/platform/serial-advice.ts";
import { temporaryDir } from "../../support/temporary-dir.ts";

const GROUPS = "root:x:0:\nuucp:x:14:\ndialout:x:20:user\n";

test.each([
  [20, 0o20660, "the user must be in its group, dialout"],
  [14, 0o20660, "the user must be in its group, uucp"],
  [77, 0o20660, "the user must be in its group, 77"],
  [0, 0o20600, "its mode is 600; a udev rule must give it a group"],
])("a device of group %p with mode %o", (gid, mode, text) => {
  expect(adviceFor({ gid, mode }, GROUPS)).toContain(text);
});

test("a port that is not there: the adapters that are, under the name that stays", () => {
  using dir = temporaryDir();
  expect(missingAdvice(dir.path)).toBe("there is no such device; is the adapter plugged in?");
  const name = join(dir.path, "usb-FTDI_FT232R_A50285BI-if00-port0");
  symlinkSync("../../ttyUSB1", name);
  expect(missingAdvice(dir.path)).toContain(`There are /dev/ttyUSB1 (${name});`);
});
