// The compiled gateway replaced under a real service and under load: nothing is lost, and what does not work goes back by itself.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FaultLine, isFull } from "../fault/harness.ts";
import { type Ended, ServiceSandbox } from "../support/service-sandbox.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 180_000;
const PROGRAM = "/usr/local/bin/tbgw";

describe("tbgw upgrade", () => {
  let line: FaultLine;
  let sandbox: ServiceSandbox;
  let genuine = "";

  /** A gateway under OpenRC with values flowing through it. */
  beforeAll(async () => {
    line = await FaultLine.open({ name: "upgrade", valuesPerSecond: 200 });
    sandbox = await ServiceSandbox.open();
    await cp(join(line.gateway.dir, "config"), join(sandbox.dir, "etc/tbgw"), { recursive: true });
    expect(await sandbox.run("tbgw service install --openrc")).toMatchObject({ code: 0 });
    await until("the gateway has its links", async () => (await links()) === "connected connected");
    line.source.start();
    await until("values arrive", () => line.arrivals.count > 0);
    // A copy that no upgrade replaces, for programs that are made from it.
    await sandbox.run(`cp ${PROGRAM} ${sandbox.dir}/genuine`);
    genuine = join(sandbox.dir, "genuine");
  }, TIMEOUT_MS);

  afterAll(async () => {
    await sandbox[Symbol.asyncDispose]();
    await line[Symbol.asyncDispose]();
  });

  async function links(): Promise<string> {
    const { code, out } = await sandbox.run("tbgw status --json 2>/dev/null");
    if (code !== 0) {
      return "";
    }
    const { link, connectors } = JSON.parse(out);
    return `${link.state} ${connectors[0].link}`;
  }

  /** A program that is a script around the genuine one. */
  async function program(name: string, script: string): Promise<string> {
    const file = join(sandbox.dir, name);
    await writeFile(file, `#!/bin/sh\n${script}\nexec ${genuine} "$@"\n`, { mode: 0o755 });
    return file;
  }

  async function upgrade(file: string, options = "--wait 60"): Promise<Ended> {
    const sum = (await sandbox.run(`sha256sum ${file}`)).out.slice(0, 64);
    return await sandbox.run(`${PROGRAM} upgrade ${file} --sha256 ${sum} ${options}`);
  }

  async function sumOf(file: string): Promise<string> {
    return (await sandbox.run(`sha256sum ${file}`)).out.slice(0, 64);
  }

  /** Which file the program is, which process runs it, and what lies beside it. */
  async function state(): Promise<string> {
    const command = `ls -i /usr/local/bin; pgrep -f '^${PROGRAM} run'`;
    return (await sandbox.run(command)).out;
  }

  /** Refused before anything has changed. */
  async function expectUntouched(run: () => Promise<Ended>, why: RegExp): Promise<void> {
    const before = await state();
    const ended = await run();
    expect(ended.out).toMatch(why);
    expect(ended.code).not.toBe(0);
    expect(await state()).toBe(before);
  }

  /** Installed, found bad, and taken back; the gateway runs as before. */
  async function expectTakenBack(file: string, why: RegExp, wait: number): Promise<void> {
    const inode = `stat -c %i ${PROGRAM}`;
    const before = await sandbox.run(inode);
    const ended = await upgrade(file, `--wait ${wait}`);
    expect(ended.out).toMatch(why);
    expect(ended.out).toContain("is the one before again");
    expect(ended.code).toBe(1);
    expect(await sandbox.run(inode)).toEqual(before);
    await until("the gateway has its links", async () => (await links()) === "connected connected");
  }

  test(
    "a program that cannot be what it says, or cannot run, changes nothing",
    async () => {
      const wrong = await program("wrong", "");
      await expectUntouched(
        () => sandbox.run(`${PROGRAM} upgrade ${wrong} --sha256 ${"0".repeat(64)}`),
        /not the one that was published: its SHA-256 is [0-9a-f]{64}, and must be 0{64}/,
      );
      await expectUntouched(
        () => sandbox.run(`${PROGRAM} upgrade ${wrong}`),
        /checksum of .* is not known: put SHA256SUMS/,
      );
      await writeFile(join(sandbox.dir, "text"), "this is no program\n");
      await expectUntouched(() => upgrade(join(sandbox.dir, "text")), /it is no program of Linux/);
      const elf = (await readFile("/bin/true")).subarray(0, 4096);
      elf.writeUInt16LE(elf.readUInt16LE(18) === 0xb7 ? 0x3e : 0xb7, 18);
      await writeFile(join(sandbox.dir, "foreign"), elf);
      await expectUntouched(() => upgrade(join(sandbox.dir, "foreign")), /it is for the processor/);
      const crashing = await program("crashing", "kill -SEGV $$");
      await expectUntouched(() => upgrade(crashing), /does not run: --version ends with code 139/);
      const picky = await program("picky", '[ "$1" = check ] && { echo nonsense; exit 3; }');
      await expectUntouched(() => upgrade(picky), /check of the configuration ends with code 3/);
    },
    TIMEOUT_MS,
  );

  test(
    "a program that crashes as it starts, never answers or loses the platform is taken back, with the reason",
    async () => {
      const dying = await program(
        "dying",
        '[ "$1" = run ] && { echo "no such luck" >&2; exit 1; }',
      );
      await expectTakenBack(dying, /failed +No gateway runs with[^]*\| no such luck/, 3);
      if (isFull) {
        const silent = await program("silent", '[ "$1" = run ] && exec sleep 1000');
        await expectTakenBack(silent, /failed +No gateway runs with/, 2);
      }
      const deaf = await program("deaf", "export TB_GW_ACCESS_TOKEN=WRONG");
      await expectTakenBack(deaf, /failed +the platform is not reached/, 8);
    },
    TIMEOUT_MS,
  );

  test(
    "a good program takes over, the one before is kept, and a way back is there",
    async () => {
      const before = await sumOf(PROGRAM);
      const good = await program("good", "");
      await writeFile(join(sandbox.dir, "SHA256SUMS"), `${await sumOf(good)}  good\n`);
      const ended = await sandbox.run(`${PROGRAM} upgrade ${good}`);
      expect(ended.out).toContain("well       the gateway runs, and all that worked before works");
      expect(ended.code).toBe(0);
      expect(await sumOf(PROGRAM)).toBe(await sumOf(good));
      expect(await sumOf(`${PROGRAM}.previous`)).toBe(before);
      // The good program is a script: what runs is the genuine one, so that one is told what it replaces.
      const back = await sandbox.run(`${PROGRAM}.previous upgrade --rollback --wait 60`);
      expect(back.out).toContain("There is no /usr/local/bin/tbgw.previous.previous");
      expect(back.code).toBe(2);
      await sandbox.run(`mv ${PROGRAM}.previous ${PROGRAM}; cp ${good} ${PROGRAM}.previous`);
      await sandbox.run("rc-service tbgw restart");
      await until(
        "the gateway has its links",
        async () => (await links()) === "connected connected",
      );
      const rolled = await sandbox.run(`${PROGRAM} upgrade --rollback`);
      expect(rolled.out).toContain("well       the gateway runs");
      expect(await sumOf(PROGRAM)).toBe(await sumOf(good));
      expect(await sumOf(`${PROGRAM}.previous`)).toBe(before);
    },
    TIMEOUT_MS,
  );

  test(
    "no value was lost on the way",
    async () => {
      await line.source.stop();
      await until("all has arrived", () => line.missing().length === 0, 60_000);
      expect(line.source.sent).toBeGreaterThan(1000);
      expect(line.arrivals.disorder).toBe(0);
      line.note("sent", { sent: line.source.sent, arrived: line.arrivals.count });
    },
    TIMEOUT_MS,
  );
});
