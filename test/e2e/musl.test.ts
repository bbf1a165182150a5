// The program for Alpine, executed by the loader of musl. Its C++ library is taken from a package of PyPI.
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pythonWithPeers } from "../support/python.ts";

const BINARY = resolve(import.meta.dir, "../../dist/tbgw-linux-x64-musl");
const TIMEOUT_MS = 180_000;

/** The last one whose libraries have no relocations that Debian's musl (1.2.3) does not know. */
const PACKAGE = "greenlet==3.1.1";
/** What that C++ library is too old to have: both only end a program that is at its end. */
const NEWER = ["_ZSt28__throw_bad_array_new_lengthv", "_ZSt21__glibcxx_assert_failPKciS0_S0_"];

/** Puts libstdc++, libgcc and what is newer into `lib` of a directory. */
const SCRIPT = `
  set -e
  "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --dest . --only-binary=:all: \\
    --platform musllinux_1_1_x86_64 --python-version 311 --implementation cp --abi cp311 "$PACKAGE"
  "$PYTHON" -m zipfile -e *.whl .
  mv *.libs lib
  cp lib/libstdc++-* lib/libstdc++.so.6
  gcc -shared -fPIC -nostdlib -o lib/libnewer.so newer.c
`;

test(
  "the musl program says its version and runs the demo",
  async () => {
    expect(existsSync("/lib/ld-musl-x86_64.so.1")).toBe(true);
    const dir = await mkdtemp(join(tmpdir(), "tbgw-musl-"));
    const source = NEWER.map((name) => `void ${name}(void) { abort(); }`).join("\n");
    await Bun.write(join(dir, "newer.c"), `void abort(void);\n${source}\n`);
    const env = { ...process.env, PYTHON: await pythonWithPeers(), PACKAGE };
    const made = Bun.spawnSync(["sh", "-c", SCRIPT], { cwd: dir, env, stderr: "inherit" });
    expect(made.exitCode).toBe(0);

    const musl = async (...args: readonly string[]) => {
      const lib = join(dir, "lib");
      const libraries = { LD_LIBRARY_PATH: lib, LD_PRELOAD: join(lib, "libnewer.so") };
      const child = Bun.spawn([BINARY, ...args], {
        cwd: dir,
        env: libraries,
        stdout: "pipe",
        stderr: "inherit",
      });
      const out = await new Response(child.stdout).text();
      return { code: await child.exited, out };
    };
    const version = await musl("--version");
    expect(version.out).toMatch(/^tbgw \d+\.\d+\.\d+\n$/);
    const { code, out } = await musl("demo", "--seconds", "5", "--json");
    await rm(dir, { recursive: true });
    console.log(`musl: exit ${code} ${out.trim()}`);
    expect(code).toBe(0);
    const summary = JSON.parse(out);
    expect(summary).toMatchObject({ devices: 4, rejected: 0, dropped: 0 });
    expect(summary.acknowledged).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
