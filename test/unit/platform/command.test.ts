import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { OutputTooLongError, runCommand } from "../../../src/platform/command.ts";
import { until } from "../../support/until.ts";

const signal = new AbortController().signal;
const shell = (script: string): readonly string[] => ["/bin/sh", "-c", script];

describe("runCommand()", () => {
  test("gives output, error output and exit code", async () => {
    expect(await runCommand(shell("echo out; echo err >&2; exit 3"), 100, signal)).toEqual({
      exitCode: 3,
      stdout: "out\n",
      stderr: "err\n",
    });
    const printed = await runCommand(["printf", "%s", "a b; $HOME"], 100, signal);
    expect(printed.stdout).toBe("a b; $HOME");
  });

  test("an abort ends the program with all it has started", async () => {
    const stop = new AbortController();
    const mark = `/tmp/tbgw-command-${process.pid}-${performance.now()}`;
    const script = `sleep 3600 & echo $! > ${mark}; wait`;
    const running = runCommand(shell(script), 100, stop.signal);
    await until("the child runs", async () => (await text(mark)).endsWith("\n"));
    const pid = (await text(mark)).trim();
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    stop.abort(new Error("stop"));
    await expect(running).rejects.toThrow("stop");
    await until("the child is gone", () => !existsSync(`/proc/${pid}/fd/0`));
    await Bun.file(mark).delete();
  });

  test("output without an end is cut off with an error", async () => {
    await expect(runCommand(["yes"], 10_000, signal)).rejects.toBeInstanceOf(OutputTooLongError);
  });

  test("error output without an end is not", async () => {
    const { stderr, stdout } = await runCommand(
      shell("head -c 1000000 /dev/zero >&2; echo done"),
      100,
      signal,
    );
    expect([stderr.length, stdout]).toEqual([2048, "done\n"]);
  });

  test("a program that is not there, or an aborted signal, is an error", async () => {
    await expect(runCommand(["no-such-program-tbgw"], 100, signal)).rejects.toThrow();
    const aborted = AbortSignal.abort(new Error("before"));
    await expect(runCommand(["true"], 100, aborted)).rejects.toThrow("before");
  });
});

async function text(path: string): Promise<string> {
  const file = Bun.file(path);
  return (await file.exists()) ? await file.text() : "";
}
