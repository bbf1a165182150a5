import { expect, test } from "bun:test";
import { adviceFor } from "../../../src/platform/device-permission.ts";

const GROUPS = "root:x:0:\nuucp:x:14:\ndialout:x:20:user\n";

test.each([
  [20, 0o20660, "the user must be in its group, dialout"],
  [14, 0o20660, "the user must be in its group, uucp"],
  [77, 0o20660, "the user must be in its group, 77"],
  [0, 0o20600, "its mode is 600; a udev rule must give it a group"],
])("a device of group %p with mode %o", (gid, mode, text) => {
  expect(adviceFor({ gid, mode }, GROUPS)).toContain(text);
});
