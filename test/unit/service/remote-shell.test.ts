import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../../src/sdk/clock.ts";
import { isJsonObject, type Json } from "../../../src/sdk/model.ts";
import { RemoteShell } from "../../../src/service/remote-shell.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { temporaryDir } from "../../support/temporary-dir.ts";
import { until } from "../../support/until.ts";

const { signal } = new AbortController();

function open(dir: string, options: { readonly clock?: Clock; readonly allowed?: boolean } = {}) {
  const log = memoryLog();
  const shell = new RemoteShell({
    clock: options.clock ?? systemClock,
    log: log.log,
    cwd: realpathSync(dir),
    switches: { allowed: options.allowed ?? true, enabled: true },
  });
  const call = async (method: string, params?: Json): Promise<Readonly<Record<string, Json>>> => {
    const answer = await shell.methods.get(method)?.(params, signal);
    if (!isJsonObject(answer)) {
      throw new Error(`"${method}" answered ${JSON.stringify(answer)}`);
    }
    return answer;
  };
  /** Polls as the terminal of the platform does, until the command is done. */
  const run = async (command: string): Promise<{ output: string; cwd: Json | undefined }> => {
    expect(await call("sendCommand", { command })).toEqual({ ok: true });
    let output = "";
    for (;;) {
      const { data, cwd, done } = await call("getCommandStatus");
      for (const one of Array.isArray(data) ? data : []) {
        const stdout = isJsonObject(one) ? one["stdout"] : undefined;
        output += typeof stdout === "string" ? stdout : JSON.stringify(one);
      }
      if (done === true) {
        return { output, cwd };
      }
    }
  };
  return { shell, log, call, run };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}

describe("RemoteShell", () => {
  test("closed, each of its methods answers 403 under both names, and the session ends", async () => {
    using dir = temporaryDir();
    const { call, shell } = open(dir.path, { allowed: false });
    expect([...shell.methods.keys()].toSorted()).toEqual([
      "gateway_getCommandStatus",
      "gateway_getTermInfo",
      "gateway_sendCommand",
      "gateway_terminateCommand",
      "getCommandStatus",
      "getTermInfo",
      "sendCommand",
      "terminateCommand",
    ]);
    for (const method of shell.methods.keys()) {
      expect(await call(method, { command: `touch ${dir.path}/x` })).toEqual({
        error: "remote shell is not allowed on this gateway (tbgw.allowRemoteShell)",
        code: 403,
      });
    }
    expect(existsSync(join(dir.path, "x"))).toBe(false);
  });

  test("runs commands through the shell, errors in the output, each command logged", async () => {
    using dir = temporaryDir();
    const { shell, call, run, log } = open(dir.path);
    await using _ = shell;
    expect(await call("getTermInfo")).toEqual({
      platform: "Linux",
      release: expect.any(String),
      cwd: realpathSync(dir.path),
    });
    expect((await run("echo out; echo err >&2; exit 3")).output).toBe("out\nerr\n");
    expect((await run("no-such-program")).output).toContain("not found");
    expect(await call("sendCommand", { command: "  " })).toEqual({ ok: false });
    expect(await call("sendCommand", {})).toEqual({ ok: false });
    expect(log.records.filter(({ level }) => level === "warn").map(({ fields }) => fields)).toEqual(
      [
        { command: "echo out; echo err >&2; exit 3", cwd: realpathSync(dir.path) },
        { command: "no-such-program", cwd: realpathSync(dir.path) },
      ],
    );
  });

  test("has a working directory of its own", async () => {
    using dir = temporaryDir();
    mkdirSync(join(dir.path, "one two"));
    const { shell, call, run } = open(dir.path);
    await using _ = shell;
    const before = process.cwd();
    const root = realpathSync(dir.path);
    expect((await run('cd "one two"')).cwd).toBe(join(root, "one two"));
    expect((await run("pwd")).output).toBe(`${join(root, "one two")}\n`);
    expect((await run("cd ..")).cwd).toBe(root);
    expect((await run("cd -")).cwd).toBe(join(root, "one two"));
    expect(await run("cd nowhere")).toEqual({
      output: `cd: there is no directory ${join(root, "one two", "nowhere")}\n`,
      cwd: join(root, "one two"),
    });
    expect((await run("cd")).cwd).toBe(homedir());
    expect((await run("cd ~")).cwd).toBe(homedir());
    expect((await run(`cd ${root} && pwd`)).output).toBe(`${root}\n`);
    await call("sendCommand", { command: "pwd", cwd: root });
    expect((await call("getCommandStatus"))["cwd"]).toBe(root);
    expect(process.cwd()).toBe(before);
  });

  test("gives each character out once, however much and whatever it is", async () => {
    using dir = temporaryDir();
    const { shell, run } = open(dir.path);
    await using _ = shell;
    const { output } = await run('i=0; while [ $i -lt 20000 ]; do echo "$i ü😀"; i=$((i+1)); done');
    const expected = Array.from({ length: 20_000 }, (_element, index) => `${index} ü😀\n`).join("");
    expect(output === expected).toBe(true);
  });

  test("holds a command back that writes faster than it is read, and ends its whole group", async () => {
    using dir = temporaryDir();
    const { shell, call } = open(dir.path);
    await using _ = shell;
    await call("sendCommand", { command: `sleep 1000 & echo $!; yes & wait` });
    const { data } = await call("getCommandStatus");
    const pid = Number(/^\d+/.exec(JSON.stringify(data).replace(/^[^\d]*/, ""))?.[0]);
    expect(isAlive(pid)).toBe(true);
    const before = process.memoryUsage.rss();
    await systemClock.sleep(300, signal);
    expect(process.memoryUsage.rss() - before).toBeLessThan(30 * 2 ** 20);
    expect(await call("terminateCommand")).toEqual({ ok: true });
    await until("the whole group has ended", () => !isAlive(pid));
    expect(await call("terminateCommand")).toEqual({
      ok: false,
      error: "Process for termination not found.",
    });
  });

  test("a command that ignores the request to end is killed, by the next command too", async () => {
    using dir = temporaryDir();
    const { shell, call, run } = open(dir.path);
    await using _ = shell;
    await call("sendCommand", { command: "trap '' TERM; echo $$; while :; do sleep 1; done" });
    const { data } = await call("getCommandStatus");
    const pid = Number(/\d+/.exec(JSON.stringify(data))?.[0]);
    expect(isAlive(pid)).toBe(true);
    expect((await run("echo next")).output).toBe("next\n");
    expect(isAlive(pid)).toBe(false);
  });

  test("`exit`, the gate, and the end of the gateway end what runs", async () => {
    using dir = temporaryDir();
    for (const how of ["exit", "gate", "end"] as const) {
      const { shell, call } = open(dir.path);
      await call("sendCommand", { command: "cd /; echo $$; sleep 1000" });
      const { data } = await call("getCommandStatus");
      const pid = Number(/\d+/.exec(JSON.stringify(data))?.[0]);
      expect(isAlive(pid)).toBe(true);
      if (how === "exit") {
        expect(await call("sendCommand", { command: "exit" })).toEqual({ ok: true });
        expect(await call("getCommandStatus")).toMatchObject({ data: [], done: true });
      } else if (how === "gate") {
        shell.switches = { allowed: true, enabled: false };
        await call("getCommandStatus");
      }
      await shell[Symbol.asyncDispose]();
      await until("it has ended", () => !isAlive(pid));
    }
  });

  test("a session that is left alone ends", async () => {
    using dir = temporaryDir();
    mkdirSync(join(dir.path, "sub"));
    const clock = new FakeClock();
    const { shell, call, log } = open(dir.path, { clock });
    await call("sendCommand", { command: "cd sub" });
    await clock.advance(599_000);
    expect((await call("getTermInfo"))["cwd"]).toBe(join(realpathSync(dir.path), "sub"));
    await clock.advance(600_000);
    expect(log.messages("warn")).toContain("Remote shell was left alone and is closed");
    expect((await call("getTermInfo"))["cwd"]).toBe(realpathSync(dir.path));
    await shell[Symbol.asyncDispose]();
    expect(clock.waiting).toBe(0);
  });

  test("a command sees nothing of the gateway's own environment", async () => {
    using dir = temporaryDir();
    const { shell, run } = open(dir.path);
    await using _ = shell;
    const { output } = await run("env | cut -d= -f1 | sort | tr '\\n' ' '");
    for (const name of output.trim().split(" ")) {
      expect(["HOME", "LANG", "OLDPWD", "PATH", "PWD", "SHLVL", "TERM", "_"]).toContain(name);
    }
  });
});
