import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pythonWithPeers } from "./python.ts";

/** The last one whose libraries have no relocations that Debian's musl (1.2.3) does not know. */
const PACKAGE = "greenlet==3.1.1";
/** What that C++ library is too old to have: both only end a program that is at its end. */
const NEWER = ["_ZSt28__throw_bad_array_new_lengthv", "_ZSt21__glibcxx_assert_failPKciS0_S0_"];

/** Puts libstdc++ and libgcc into `lib` of a directory. */
const WHEEL = `
  "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --dest . --only-binary=:all: \\
    --platform musllinux_1_1_$MACHINE --python-version 311 --implementation cp --abi cp311 "$PACKAGE"
  "$PYTHON" -m zipfile -e *.whl .
  mv *.libs lib
  cp lib/libstdc++-* lib/libstdc++.so.6
`;

/** The loader of this machine's own musl; the compiler makes what is newer. */
const X64 = `
  printf 'void abort(void);\\n' >newer.c
  for name in $NEWER; do printf 'void %s(void) { abort(); }\\n' "$name" >>newer.c; done
  gcc -shared -fPIC -nostdlib -o lib/libnewer.so newer.c
`;

/** Packages of Debian for the other processor, looked up in lists of its own: those of the machine stay as they are. */
const ARM64 = `
  mkdir -p apt/lists/partial apt/archives/partial
  foreign="-o Dir::State::Lists=$PWD/apt/lists -o Dir::Cache=$PWD/apt -o APT::Architecture=arm64 -o APT::Architectures=arm64
    -o APT::Sandbox::User=root"
  apt-get $foreign update -qq
  apt-get $foreign download -qq musl
  apt-get -o APT::Sandbox::User=root download -qq binutils-aarch64-linux-gnu
  for package in *.deb; do dpkg-deb -x "$package" root; done
  printf '.text\\n' >newer.s
  for name in $NEWER; do printf '.global %s\\n%s: b abort\\n' "$name" "$name" >>newer.s; done
  tools=root/usr/bin/aarch64-linux-gnu
  export LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu
  $tools-as newer.s -o newer.o
  $tools-ld -shared newer.o -o lib/libnewer.so
  cp lib/* root/lib/
`;

/** What a program said and how it ended. */
export interface Ended {
  readonly code: number;
  readonly out: string;
}

/** A place to run programs for musl: by the loader of this machine, and for ARM64 by another one under emulation. */
export class MuslMachine implements AsyncDisposable {
  readonly dir: string;
  readonly #processor: "x64" | "arm64";

  private constructor(dir: string, processor: "x64" | "arm64") {
    this.dir = dir;
    this.#processor = processor;
  }

  /** Brings the libraries. @throws Error when they cannot be had */
  static async open(processor: "x64" | "arm64"): Promise<MuslMachine> {
    const dir = await mkdtemp(join(tmpdir(), "tbgw-musl-"));
    const env = {
      ...process.env,
      PYTHON: await pythonWithPeers(),
      PACKAGE,
      NEWER: NEWER.join(" "),
      MACHINE: processor === "x64" ? "x86_64" : "aarch64",
    };
    const script = `set -e\n${WHEEL}${processor === "x64" ? X64 : ARM64}`;
    const made = Bun.spawnSync(["sh", "-c", script], { cwd: dir, env, stderr: "inherit" });
    if (made.exitCode !== 0) {
      await rm(dir, { recursive: true });
      throw new Error(`Cannot bring the libraries of musl for ${processor}`);
    }
    return new MuslMachine(dir, processor);
  }

  /** Runs the built program with these arguments, `before` it another one that runs it. */
  async run(args: readonly string[], before: readonly string[] = []): Promise<Ended> {
    const { dir } = this;
    const program = resolve(import.meta.dir, `../../dist/tbgw-linux-${this.#processor}-musl`);
    const lib = this.#processor === "x64" ? join(dir, "lib") : "/lib";
    const libraries = { LD_LIBRARY_PATH: lib, LD_PRELOAD: `${lib}/libnewer.so` };
    const pairs = Object.entries(libraries).flatMap(([name, value]) => ["-E", `${name}=${value}`]);
    const emulator = ["qemu-aarch64-static", "-L", join(dir, "root"), ...pairs];
    const isEmulated = this.#processor !== "x64";
    const child = Bun.spawn([...(isEmulated ? emulator : before), program, ...args], {
      cwd: dir,
      env: { PATH: "/usr/bin:/bin", ...(isEmulated ? {} : libraries) },
      stdout: "pipe",
      stderr: "inherit",
    });
    const out = await new Response(child.stdout).text();
    return { code: await child.exited, out };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}
