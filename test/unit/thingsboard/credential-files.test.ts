import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownCertificate, writeSecret } from "../../../src/thingsboard/credential-files.ts";
import { rejection } from "../../support/rejection.ts";

const NOW_MS = Date.parse("2026-11-22T00:00:00Z");
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tbgw-credentials-"));
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

describe("writeSecret", () => {
  test("replaces a file whole, makes its directory, and lets only the owner read it", async () => {
    const path = join(dir, "data", ".credentials");
    await writeSecret(path, "first");
    await writeFile(`${path}.tmp`, "of a crash", { mode: 0o644 });
    await writeSecret(path, "second");
    expect(await readFile(path, "utf8")).toBe("second");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(dir, "data"))).toEqual([".credentials"]);
  });

  test("leaves nothing behind when it fails", async () => {
    await writeSecret(join(dir, "a", "file"), "text");
    // A directory stands where the file should go.
    const error = await rejection(writeSecret(join(dir, "a"), "text"));
    expect(error.message).toContain("a");
    expect(await readdir(dir)).toEqual(["a"]);
  });
});

describe("ownCertificate", () => {
  test("makes a pair once and gives the same one afterwards", async () => {
    const made = await ownCertificate(dir, NOW_MS);
    expect(await ownCertificate(dir, NOW_MS)).toEqual(made);
    expect((await readdir(dir)).sort()).toEqual(["cert.pem", "key.pem"]);
    expect((await stat(join(dir, "key.pem"))).mode & 0o777).toBe(0o600);
  });

  test("keeps a pair that cannot be used under another name", async () => {
    const made = await ownCertificate(dir, NOW_MS);
    await writeFile(join(dir, "key.pem"), "no key");
    const other = await ownCertificate(dir, NOW_MS);
    expect(other.certificate).not.toBe(made.certificate);
    expect(await readFile(join(dir, "cert.pem.old"), "utf8")).toBe(made.certificate);
    expect(await readFile(join(dir, "key.pem.old"), "utf8")).toBe("no key");
  });

  test("a half-written pair is made again", async () => {
    const made = await ownCertificate(dir, NOW_MS);
    await rm(join(dir, "cert.pem"));
    const other = await ownCertificate(dir, NOW_MS);
    expect(other.privateKey).not.toBe(made.privateKey);
    expect(await ownCertificate(dir, NOW_MS)).toEqual(other);
  });
});
