// scripts/install.sh under the two shells that boards have, with nothing but busybox beside one of them.
import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const SCRIPT = resolve(import.meta.dir, "../../scripts/install.sh");
const TARGETS = ["x64", "x64-baseline", "x64-musl", "arm64", "arm64-musl"] as const;

const root = await mkdtemp(join(tmpdir(), "tbgw-install-"));
afterAll(() => rm(root, { recursive: true, force: true }));

async function put(path: string, content: string | Uint8Array, mode = 0o644): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
}

const sha256 = (bytes: string | Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");

interface Shell {
  readonly name: string;
  readonly command: readonly string[];
  /** The tools that the script finds. */
  readonly path: string;
}

/** Every tool is busybox, and there is no xz or curl of another kind. */
async function busyboxOnly(): Promise<Shell> {
  const tools = join(root, "busybox");
  await mkdir(tools);
  const busybox = Bun.which("busybox") ?? "busybox";
  expect(Bun.spawnSync([busybox, "--install", "-s", tools]).exitCode).toBe(0);
  return { name: "busybox sh", command: [busybox, "sh"], path: tools };
}

const SHELLS: readonly Shell[] = [
  { name: "dash", command: ["dash"], path: "/usr/sbin:/usr/bin:/sbin:/bin" },
  await busyboxOnly(),
];

let made = 0;
const fresh = (): string => join(root, `case-${(made += 1)}`);

/** A release of small programs that say which one they are; with the name in `broken`, one that does not start. */
async function release(version: string, broken = ""): Promise<string> {
  const dir = fresh();
  let sums = "";
  for (const target of TARGETS) {
    const name = `tbgw-linux-${target}`;
    const body = name === broken ? "echo libstdc++.so.6 is missing; exit 127" : "exit 0";
    const text = `#!/bin/sh\necho "tbgw ${version} ${target}"\n${body}\n`;
    const packed = Bun.spawnSync(["xz", "-9e", "-c"], { stdin: Buffer.from(text) }).stdout;
    await put(join(dir, name), text);
    await put(join(dir, `${name}.xz`), packed);
    sums += `${sha256(text)}  ${name}\n${sha256(packed)}  ${name}.xz\n`;
  }
  await put(join(dir, "SHA256SUMS"), sums);
  return dir;
}

/** What each processor since 2009 has and the run time cannot do without. */
const V2 = "sse4_1 sse4_2 popcnt";

interface Machine {
  readonly system?: string;
  readonly machine?: string;
  readonly ldd?: string;
  readonly flags?: string;
  /** 2 for a 64-bit system, 1 for a 32-bit one. */
  readonly elfClass?: number;
}

/** A place to install to, on a machine that says to be `machine`. */
async function place(shell: Shell, machine: Machine = {}) {
  const dir = fresh();
  const { system = "Linux", machine: of = "x86_64", ldd = "ldd (GNU libc) 2.36" } = machine;
  const fakes = join(dir, "fakes");
  await put(join(fakes, "ldd"), `#!/bin/sh\necho "${ldd}"\n`, 0o755);
  const cpuinfo = await put(
    join(dir, "cpuinfo"),
    `flags : fpu ${machine.flags ?? `${V2} avx avx2`}\n`,
  );
  const header = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, machine.elfClass ?? 2);
  const elf = await put(join(dir, "elf"), header);
  const prefix = join(dir, "prefix");
  const run = async (...args: readonly string[]) => {
    const child = Bun.spawn([...shell.command, SCRIPT, ...args], {
      cwd: dir,
      env: {
        PATH: `${fakes}:${shell.path}`,
        PREFIX: prefix,
        // Not a program of that name: busybox prefers its own.
        TBGW_TEST_SYSTEM: system,
        TBGW_TEST_MACHINE: of,
        TBGW_TEST_CPUINFO: cpuinfo,
        TBGW_TEST_SHELL: elf,
      },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { code: await child.exited, out, err };
  };
  const program = join(prefix, "bin/tbgw");
  return { dir, program, bin: join(prefix, "bin"), run };
}

const files = async (dir: string): Promise<readonly string[]> => (await readdir(dir)).toSorted();

describe.each(SHELLS)("install.sh under $name", (shell) => {
  test.each<{ target: string; on: Machine }>([
    { target: "x64", on: {} },
    { target: "x64-baseline", on: { flags: `${V2} avx` } },
    { target: "x64-musl", on: { ldd: "musl libc (x86_64)" } },
    { target: "arm64", on: { machine: "aarch64" } },
    { target: "arm64-musl", on: { machine: "aarch64", ldd: "musl libc (aarch64)" } },
  ])("picks linux-$target", async ({ target, on }) => {
    const { run, program } = await place(shell, on);
    const { code, out } = await run("--from", await release("1.0.0"));
    expect(out).toContain(`tbgw 1.0.0 ${target}\n`);
    expect(out.includes("apk add libstdc++")).toBe(target.endsWith("musl"));
    expect(code).toBe(0);
    expect(await readFile(program, "utf8")).toContain(`tbgw 1.0.0 ${target}"`);
  });

  test.each<{ name: string; on: Machine; says: string }>([
    { name: "a 32-bit ARM system", on: { machine: "armv7l" }, says: "64-bit image" },
    {
      name: "a 32-bit system on a 64-bit ARM kernel",
      on: { machine: "aarch64", elfClass: 1 },
      says: "64-bit image",
    },
    { name: "a 32-bit PC system", on: { elfClass: 1 }, says: "32-bit system" },
    { name: "a PC before 2009", on: { flags: "sse4_1 ssse3" }, says: "no SSE4.2" },
    {
      name: "a musl PC before 2009",
      on: { flags: "popcnt sse4a", ldd: "musl libc (x86_64)" },
      says: "no SSE4.2",
    },
    { name: "another processor", on: { machine: "riscv64" }, says: "riscv64" },
    { name: "another system", on: { system: "Darwin" }, says: "Darwin" },
  ])("refuses $name and says why", async ({ on, says }) => {
    const { run, dir } = await place(shell, on);
    const { code, err } = await run("--from", await release("1.0.0"));
    expect(err).toContain(says);
    expect(code).toBe(1);
    expect(await files(dir)).not.toContain("prefix");
  });

  test.each([{ name: "tbgw-linux-x64.xz" }, { name: "tbgw-linux-x64" }])(
    "refuses a tampered $name and keeps what is there",
    async ({ name }) => {
      const { run, program, bin } = await place(shell);
      expect((await run("--from", await release("1.0.0"))).code).toBe(0);
      const tampered = await release("1.0.1");
      if (!name.endsWith(".xz")) {
        await rm(join(tampered, `${name}.xz`));
      }
      const bytes = await readFile(join(tampered, name));
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 2) ^ 1, bytes.length - 2);
      await writeFile(join(tampered, name), bytes);
      const { code, err } = await run("--from", tampered);
      expect(err).toContain(`${name} is not what SHA256SUMS says`);
      expect(code).toBe(1);
      expect(await readFile(program, "utf8")).toContain("tbgw 1.0.0");
      expect(await files(bin)).toEqual(["tbgw"]);
    },
  );

  test("a second run changes nothing, another version keeps the previous one", async () => {
    const { run, program, bin } = await place(shell);
    const first = await release("1.0.0");
    await run("--from", first);
    const before = await stat(program);
    const again = await run("--from", first);
    expect(again.out).toContain("nothing changed");
    expect(again.code).toBe(0);
    const after = await stat(program);
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    expect(await files(bin)).toEqual(["tbgw"]);

    expect((await run("--from", await release("1.1.0"))).code).toBe(0);
    expect(await readFile(program, "utf8")).toContain("tbgw 1.1.0");
    expect(await readFile(join(bin, "tbgw.previous"), "utf8")).toContain("tbgw 1.0.0");
    expect(await files(bin)).toEqual(["tbgw", "tbgw.previous"]);
  });

  test("a program that does not start is not installed", async () => {
    const { run, program, bin } = await place(shell, { ldd: "musl libc (x86_64)" });
    await run("--from", await release("1.0.0"));
    const { code, err } = await run("--from", await release("1.1.0", "tbgw-linux-x64-musl"));
    expect(err).toContain("apk add libstdc++");
    expect(code).toBe(1);
    expect(await readFile(program, "utf8")).toContain("tbgw 1.0.0");
    expect(await files(bin)).toEqual(["tbgw"]);
  });

  test("a program that dies of an instruction is not installed, and the way out is said", async () => {
    const { run, bin } = await place(shell);
    const dir = await release("1.0.0");
    const text = "#!/bin/sh\nkill -ILL $$\n";
    await put(join(dir, "tbgw-linux-x64"), text);
    await put(join(dir, "SHA256SUMS"), `${sha256(text)}  tbgw-linux-x64\n`);
    const { code, err } = await run("--from", dir);
    expect(err).toContain("--target linux-x64-baseline");
    expect(code).toBe(1);
    expect(await files(bin)).toEqual([]);
  });

  test("--uninstall removes the program alone; a second time there is nothing", async () => {
    const { run, bin } = await place(shell);
    await run("--from", await release("1.0.0"));
    await put(join(bin, "other"), "");
    const { code, out } = await run("--uninstall");
    expect(out).toContain("still there");
    expect(code).toBe(0);
    expect(await files(bin)).toEqual(["other"]);
    expect(await run("--uninstall")).toMatchObject({ code: 0, err: "" });
  });

  test("takes the files from an address", async () => {
    const dir = await release("1.0.0");
    await using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const file = Bun.file(join(dir, new URL(request.url).pathname));
        return (await file.exists()) ? new Response(file) : new Response("", { status: 404 });
      },
    });
    const { run, program } = await place(shell);
    const from = server.url.href;
    expect(await run("--from", from)).toMatchObject({ code: 0, err: "" });
    expect(await readFile(program, "utf8")).toContain("tbgw 1.0.0 x64");
    const missing = await run("--from", `${from}nowhere/`);
    expect(missing.err).toContain("Cannot get SHA256SUMS");
    expect(missing.code).toBe(1);
  });

  test("wrong usage ends with 2", async () => {
    const { run } = await place(shell);
    expect(await run("--prefix")).toMatchObject({ code: 2 });
    expect(await run("--from")).toMatchObject({ code: 2 });
  });
});

test("install.sh gives the next program the capabilities of the one before", async () => {
  const [dash] = SHELLS;
  if (dash === undefined) {
    throw new Error("There is no shell");
  }
  const { run, program } = await place(dash);
  await run("--from", await release("1.0.0"));
  expect(Bun.spawnSync(["setcap", "cap_net_raw+ep", program]).exitCode).toBe(0);
  expect(await run("--from", await release("1.1.0"))).toMatchObject({ code: 0, err: "" });
  expect(await readFile(program, "utf8")).toContain("tbgw 1.1.0");
  expect(Bun.spawnSync(["getcap", program]).stdout.toString()).toBe(`${program} cap_net_raw=ep\n`);
});
