import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { rehearse, save } from "../../../../src/commands/init/save.ts";
import { temporaryDir } from "../../../support/temporary-dir.ts";

const file = (name: string, content: string) => ({ name, content, about: "" });
const mode = (path: string): number => statSync(path).mode & 0o777;

describe("save()", () => {
  test("makes a directory with all its files at once; secrets are for the owner alone", () => {
    using dir = temporaryDir();
    const configDir = join(dir.path, "a/config");
    const files = [file("x/open.json", "1"), file("secret.json", "2")];
    save({ configDir, files, secret: new Set(["secret.json"]) });
    expect(readdirSync(join(dir.path, "a"))).toEqual(["config"]);
    expect(readFileSync(join(configDir, "x/open.json"), "utf8")).toBe("1");
    expect(mode(join(configDir, "secret.json"))).toBe(0o600);
    expect(mode(join(configDir, "x/open.json"))).toBe(0o644);
  });

  test("keeps what it replaces as .bak, never over an earlier one, and leaves alone what is the same", () => {
    using dir = temporaryDir();
    writeFileSync(join(dir.path, "a.json"), "old");
    writeFileSync(join(dir.path, "a.json.bak"), "older");
    writeFileSync(join(dir.path, "same.json"), "same");
    const files = [file("a.json", "new"), file("same.json", "same")];
    const saved = save({ configDir: dir.path, files, secret: new Set() });
    expect(saved).toEqual([
      { file: join(dir.path, "a.json"), backup: join(dir.path, "a.json.2.bak") },
    ]);
    expect(readFileSync(join(dir.path, "a.json"), "utf8")).toBe("new");
    expect(readFileSync(join(dir.path, "a.json.2.bak"), "utf8")).toBe("old");
    expect(readFileSync(join(dir.path, "a.json.bak"), "utf8")).toBe("older");
  });

  test("writes nothing when one file cannot be written, and puts back what was replaced", () => {
    using dir = temporaryDir();
    writeFileSync(join(dir.path, "a.json"), "old");
    // A folder in the place of a file: it is found out only when the file is put there.
    mkdirSync(join(dir.path, "b.json/inside"), { recursive: true });
    const files = [file("a.json", "new"), file("c.json", "new"), file("b.json", "new")];
    const before = readdirSync(dir.path).toSorted();
    expect(() => save({ configDir: dir.path, files, secret: new Set() })).toThrow();
    expect(readdirSync(dir.path).toSorted()).toEqual(before);
    expect(readFileSync(join(dir.path, "a.json"), "utf8")).toBe("old");
  });
});

describe("rehearse()", () => {
  test("shows the directory as it would be, and leaves nothing behind", () => {
    using dir = temporaryDir();
    writeFileSync(join(dir.path, "ca.pem"), "ca");
    chmodSync(dir.path, 0o700);
    let rehearsed = "";
    {
      using rehearsal = rehearse(dir.path, [file("tb_gateway.json", "{}")]);
      rehearsed = rehearsal.dir;
      expect(readdirSync(rehearsed).toSorted()).toEqual(["ca.pem", "tb_gateway.json"]);
    }
    expect(existsSync(rehearsed)).toBe(false);
    expect(readdirSync(dir.path)).toEqual(["ca.pem"]);
  });
});
