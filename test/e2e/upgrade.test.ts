// The compiled gateway replaced under a real service and under load: nothing is lost, and what does not work goes back by itself.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FaultLine, isFull } from "../fault/harness.ts";
import { type Ended, ServiceSandbox } from "../support/service-sandbox.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 180_000;
const PROGRAM = "/usr/local/bin/tbgw";
/** Where a service of any kind can reach it. */
const GENUINE = "/usr/local/lib/genuine";

/** What keeps the gateway running, and how it comes to know that the machine was started again. */
interface Manager {
  readonly kind: "openrc" | "cron" | "systemd";
  /** Before the installation. */
  readonly begin: string;
  /** After everything was killed. */
  readonly again: string;
}

const OPENRC: Manager = {
  kind: "openrc",
  begin: "true",
  again: "rm -f /run/tbgw.pid; rc-service tbgw zap; rc-service tbgw start",
};
const OTHERS: readonly Manager[] = [
  {
    kind: "cron",
    // Each second is half a minute to it.
    begin:
      "LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketimeMT.so.1) FAKETIME='+0 x30' cron >/dev/null 2>&1",
    again: "true",
  },
  { kind: "systemd", begin: "true", again: "true" },
];
const MANAGERS = [OPENRC, ...(isFull ? OTHERS : [])];

describe.each(MANAGERS)("tbgw upgrade under $kind", ({ kind, begin, again }) => {
  let line: FaultLine;
  let sandbox: ServiceSandbox;

  /** A gateway under it with values flowing through it. */
  beforeAll(async () => {
    line = await FaultLine.open({ name: "upgrade", valuesPerSecond: 200 });
    sandbox = await ServiceSandbox.open(kind === "systemd" ? kind : undefined);
    await cp(join(line.gateway.dir, "config"), join(sandbox.dir, "etc/tbgw"), { recursive: true });
    await sandbox.run(begin);
    expect(await sandbox.run(`tbgw service install --${kind}`)).toMatchObject({ code: 0 });
    await until("the gateway has its links", async () => (await links()) === "connected connected");
    line.source.start();
    await until("values arrive", () => line.arrivals.count > 0);
    // A copy that no upgrade replaces, for programs that are made from it.
    await sandbox.run(`cp ${PROGRAM} ${GENUINE}`);
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
    await writeFile(file, `#!/bin/sh\n${script}\nexec ${GENUINE} "$@"\n`, { mode: 0o755 });
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

  /** What is left to unpack with is busybox. */
  async function hideXz(): Promise<void> {
    const layers = `lowerdir=/usr/bin,upperdir=${sandbox.dir}/hide/up,workdir=${sandbox.dir}/hide/work`;
    const hidden = await sandbox.run(
      `mkdir -p ${sandbox.dir}/hide/up ${sandbox.dir}/hide/work && mount -t overlay overlay -o ${layers} /usr/bin && rm /usr/bin/xz /usr/bin/unxz`,
    );
    expect(hidden).toEqual({ code: 0, out: "" });
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
      await expectTakenBack(
        dying,
        /failed +(?:No gateway runs with|"systemctl restart)[^]*no such luck/,
        3,
      );
      if (isFull) {
        const silent = await program("silent", '[ "$1" = run ] && exec sleep 1000');
        await expectTakenBack(silent, /failed +(?:No gateway runs with|No result within)/, 2);
      }
      const deaf = await program("deaf", "export TB_GW_ACCESS_TOKEN=WRONG");
      await expectTakenBack(deaf, /failed +the platform is not reached/, 8);
    },
    TIMEOUT_MS,
  );

  test(
    "an upgrade that is ended takes the program back, one that is cut short is taken back by the service",
    async () => {
      const genuineSum = await sumOf(PROGRAM);
      const deaf = await program("deaf", "export TB_GW_ACCESS_TOKEN=WRONG");
      const isTried = async (): Promise<boolean> =>
        (
          await sandbox.run(
            `test -e ${PROGRAM}.upgrading && pgrep -f '^${GENUINE} run' && ! pgrep openrc-run`,
          )
        ).code === 0;
      const ended = upgrade(deaf, "--wait 600");
      await until("the program is tried", isTried, 60_000);
      // The terminal is closed, which ends nothing; then somebody has enough of it.
      await sandbox.run(
        `pkill -HUP -f '^${PROGRAM} upgrade'; pkill -TERM -f '^${PROGRAM} upgrade'`,
      );
      expect((await ended).out).toContain("the upgrade was ended by SIGTERM");
      expect((await ended).code).toBe(1);
      expect([await sumOf(PROGRAM), await isTried()]).toEqual([genuineSum, false]);

      const cut = upgrade(deaf, "--wait 600");
      await until("the program is tried", isTried, 60_000);
      expect(await sumOf(PROGRAM)).not.toBe(genuineSum);
      const second = await sandbox.run(`${PROGRAM}.previous upgrade --recover`);
      await sandbox.run(
        `pkill -9 -f '^${PROGRAM} upgrade'; pkill -9 supervise-daemo; pkill -9 -f '^(${PROGRAM}|${GENUINE}) run'; ${again}`,
      );
      expect((await cut).code).toBe(137);
      await until(
        "the gateway has its links",
        async () => (await links()) === "connected connected",
        60_000,
      );
      expect(await sumOf(PROGRAM)).toBe(genuineSum);
      expect((await sandbox.run(`ls ${PROGRAM}.upgrading`)).code).not.toBe(0);
      expect(second).toEqual({ code: 0, out: "upgrade    is going on: left alone\n" });
    },
    TIMEOUT_MS,
  );

  test(
    "a good program takes over, the one before is kept, and a way back is there",
    async () => {
      const before = await sumOf(PROGRAM);
      const good = await program("good", "");
      const sums = join(sandbox.dir, "SHA256SUMS");
      const list = (goodSum: string): string =>
        `cd ${sandbox.dir}; xz -kf good; sha256sum good.xz >${sums}; echo '${goodSum}  good' >>${sums}`;
      await sandbox.run(list("0".repeat(64)));
      await expectUntouched(
        () => sandbox.run(`${PROGRAM} upgrade ${good}.xz`),
        /What the file holds is not the one that was published/,
      );
      await sandbox.run(list(await sumOf(good)));
      if (isFull) {
        await hideXz();
      }
      await sandbox.run(`setcap cap_net_raw+ep ${PROGRAM}`);
      const ended = await sandbox.run(`${PROGRAM} upgrade ${good}.xz`);
      expect(ended.out).toContain("well       the gateway runs, and all that worked before works");
      expect(ended.code).toBe(0);
      expect(await sumOf(PROGRAM)).toBe(await sumOf(good));
      expect(await sumOf(`${PROGRAM}.previous`)).toBe(before);
      // What belongs to the file goes over to the one that replaces it.
      expect((await sandbox.run(`getcap ${PROGRAM}`)).out).toBe(`${PROGRAM} cap_net_raw=ep\n`);
      // The good program is a script: what runs is the genuine one, so that one is told what it replaces.
      const back = await sandbox.run(`${PROGRAM}.previous upgrade --rollback --wait 60`);
      expect(back.out).toContain("There is no /usr/local/bin/tbgw.previous.previous");
      expect(back.code).toBe(2);
      await sandbox.run(`mv ${PROGRAM}.previous ${PROGRAM}; cp ${good} ${PROGRAM}.previous`);
      await sandbox.run(`tbgw service install --${kind}`);
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
