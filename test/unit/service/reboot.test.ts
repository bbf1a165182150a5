import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findReboot } from "../../../src/service/reboot.ts";
import { rejection } from "../../support/rejection.ts";

async function programs(...names: readonly string[]): Promise<{
  readonly dir: string;
  readonly marks: (name: string) => boolean;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const dir = await mkdtemp(join(tmpdir(), "tbgw-reboot-"));
  for (const name of names) {
    const path = join(dir, name);
    await writeFile(path, `#!/bin/sh\necho "$@" > ${path}.ran\n`);
    await chmod(path, 0o755);
  }
  return {
    dir,
    marks: (name) => existsSync(join(dir, `${name}.ran`)),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

describe("findReboot", () => {
  test("asks systemd where it runs, and uses the plain program elsewhere", async () => {
    await using found = await programs("systemctl", "reboot");
    const machine = { directories: [found.dir], isRoot: true };
    await findReboot({ ...machine, hasSystemd: false })();
    expect([found.marks("reboot"), found.marks("systemctl")]).toEqual([true, false]);
    await findReboot({ ...machine, isRoot: false, hasSystemd: true })();
    expect(found.marks("systemctl")).toBe(true);
  });

  test("says why it cannot, and rejects when the program fails", async () => {
    await using found = await programs("shutdown");
    const machine = { directories: [found.dir], isRoot: true, hasSystemd: false };
    expect(() => findReboot({ ...machine, isRoot: false })).toThrow("does not run as root");
    expect(() => findReboot({ ...machine, directories: [] })).toThrow("no systemctl");
    await writeFile(join(found.dir, "shutdown"), "#!/bin/sh\necho not permitted >&2\nexit 1\n");
    expect((await rejection(findReboot(machine)())).message).toContain("not permitted");
  });
});
