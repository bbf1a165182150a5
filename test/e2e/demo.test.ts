// The demo's OPC UA server in the compiled program, whose nodes are a part of the standard ones; and what a demo leaves behind.
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { BINARY } from "../support/gateway-process.ts";
import { freePortRow } from "../support/ports.ts";
import { pythonWithPeers } from "../support/python.ts";
import { temporaryDir } from "../support/temporary-dir.ts";
import { TmuxTerminal } from "../support/tmux.ts";

const TIMEOUT_MS = 120_000;

/** The program in an empty folder, at home nowhere, until its output has `mark`. */
async function demo(dir: string, args: readonly string[], mark: string) {
  mkdirSync(join(dir, "tmp"));
  mkdirSync(join(dir, "cwd"));
  const child = Bun.spawn([BINARY, "demo", ...args], {
    cwd: join(dir, "cwd"),
    env: { HOME: "/proc", TMPDIR: join(dir, "tmp") },
    stdout: "pipe",
    stderr: "pipe",
  });
  const lines = new Response(child.stderr).text();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let output = "";
  const readUntil = async (isEnough: () => boolean): Promise<void> => {
    while (!isEnough()) {
      const { value, done } = await reader.read();
      if (done) {
        return;
      }
      output += value;
    }
  };
  await readUntil(() => output.includes(mark));
  return {
    /** Tells it to end, and gives the exit code and what it has left behind. */
    end: async () => {
      child.kill("SIGTERM");
      await readUntil(() => false);
      const left = [...(await readdir(join(dir, "cwd"))), ...(await readdir(join(dir, "tmp")))];
      // A warning may be about the machine, which is busy with other tests.
      const errors = (await lines).split("\n").filter((line) => line.includes(" ERROR "));
      return { code: await child.exited, left, output, errors };
    },
  };
}

test(
  "asyncua sees every node of the demo's OPC UA server, subscribes, writes and calls",
  async () => {
    using dir = temporaryDir();
    const port = await freePortRow(4);
    const peers = await demo(dir.path, ["--peers", "--port", String(port)], "tbgw init");
    const command = [
      await pythonWithPeers(),
      join(import.meta.dir, "../support/opcua-client.py"),
      `opc.tcp://127.0.0.1:${port + 3}/press`,
      "Press 1",
    ];
    const client = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
    const text = await new Response(client.stdout).text();
    const ended = await peers.end();
    const seen = JSON.parse(text);
    expect(seen).toMatchObject({
      dangling: [],
      types: { Force: "float", Position: "float", Strokes: "int", Running: "bool", Phase: "str" },
      setpoint: [120, 80.5],
      strokes: "int",
      refused: "BadNotWritable",
      state: 0,
    });
    expect(seen.nodes).toBeGreaterThan(1000);
    expect(ended).toMatchObject({ code: 0, left: [], errors: [] });
  },
  TIMEOUT_MS,
);

test(
  "a demo that is ended before all its devices are there shows them all, and leaves nothing behind",
  async () => {
    using dir = temporaryDir();
    const ended = await (await demo(dir.path, [], "uplink")).end();
    expect(ended).toMatchObject({ code: 0, left: [], errors: [] });
    expect(ended.output).toContain("5 devices: ");
    expect(ended.output).toContain(" 0 dropped.");
  },
  TIMEOUT_MS,
);

test(
  "the live view shows every device of a demo in a terminal of 80 columns and 24 rows",
  async () => {
    using dir = temporaryDir();
    const size = { columns: 80, rows: 24 };
    await using terminal = await TmuxTerminal.start(`${BINARY} demo`, dir.path, size);
    await terminal.shows(/^Press 1 +force .*\n +oilTemperature .*\n/m);
    await terminal.shows(/^Meter hall 2 +energyWh +9007199254\d+ +power /m);
    for (const start of ["Boiler room", "Pump 1", "Compressor 1", "Ledger", "Soon the uplink"]) {
      await terminal.shows(new RegExp(`^${start} `, "m"));
    }
    expect(await terminal.screen()).toStartWith("tbgw demo ");
    await terminal.press("C-c");
    await terminal.shows("ended with 0");
    expect(await terminal.screen()).toContain("5 devices: ");
  },
  TIMEOUT_MS,
);
