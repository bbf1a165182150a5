// The tutorial of connectors/custom/README.md, word for word, in a clean directory with nothing but the program.
import { describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import { BINARY } from "../support/gateway-process.ts";
import { freePort, freePortRow } from "../support/ports.ts";
import { type CodeBlock, codeBlocks, linesOf } from "../support/readme.ts";
import { temporaryDir } from "../support/temporary-dir.ts";
import { Typed } from "../support/typed.ts";
import { until } from "../support/until.ts";

const README = "connectors/custom/README.md";
const TIMEOUT_MS = 120_000;
const WAIT_MS = 60_000;

/** A folder in which `tbgw` is the built program. */
function cleanDir(): Disposable & { readonly path: string } {
  const dir = temporaryDir();
  mkdirSync(join(dir.path, "bin"));
  symlinkSync(BINARY, join(dir.path, "bin/tbgw"));
  return dir;
}

function write(dir: string, { file = "", text }: CodeBlock, change = (all: string) => all): void {
  mkdirSync(dirname(join(dir, file)), { recursive: true });
  writeFileSync(join(dir, file), change(text));
}

/** Types a command and waits for its end. */
async function type(line: string, cwd: string): Promise<string> {
  await using typed = new Typed(line, cwd);
  const code = await typed.ended();
  expect({ line, code, output: code === 0 ? "" : typed.output }).toEqual({
    line,
    code: 0,
    output: "",
  });
  return typed.output;
}

/** Does in a file what a block of changed lines says. */
function edit(file: string, { text }: CodeBlock): void {
  const [before = "", after = ""] = ["-", "+"].map((sign) =>
    text
      .split("\n")
      .find((line) => line.startsWith(sign))
      ?.slice(1),
  );
  const old = readFileSync(file, "utf8");
  expect(old.split(before.trim()).length).toBe(2);
  writeFileSync(
    file,
    old.replace(before.trim(), () => after.trim()),
  );
}

describe("the tutorial", () => {
  test(
    "leads from nothing to values on the platform and to a change while the gateway runs",
    async () => {
      using dir = cleanDir();
      const [practice, begin, configure, main, run, change] = codeBlocks(
        README,
        "A first connector in five minutes",
      );
      if (practice === undefined || begin === undefined || configure === undefined) {
        throw new Error("The tutorial has lost its blocks");
      }
      if (main === undefined || run === undefined || change === undefined) {
        throw new Error("The tutorial has lost its last blocks");
      }
      const startedMs = systemClock.monotonicMs();
      // The ports are the only thing that a machine with other tests on it may not have free.
      const first = await freePortRow(3);
      await using peers = new Typed(`${linesOf(practice).join()} --port ${first}`, dir.path);
      await until("the peers are there", () => peers.output.includes("until Ctrl-C"), WAIT_MS);
      const outputs: string[] = [];
      for (const line of [...linesOf(begin), ...linesOf(configure)]) {
        outputs.push(await type(line, dir.path));
      }
      expect(outputs[1]).toContain("2 passed, 0 failed");
      expect(outputs[3]).toContain('"values":{"temperature":21.5}');
      write(dir.path, main, (text) => text.replace("18830", String(first)));
      const [check = "", start = ""] = linesOf(run);
      expect(await type(check, dir.path)).toContain("0 errors");
      await using gateway = new Typed(start, dir.path);
      const arrived = (value: string): Promise<void> =>
        until(`${value} arrived; ${gateway.output}`, () => peers.output.includes(value), WAIT_MS);
      await arrived("Meter 1 temperature = 21.5");
      const doneMs = systemClock.monotonicMs() - startedMs;
      edit(join(dir.path, "config/extensions/meter/meter-connector.ts"), change);
      await arrived("Meter 1 polled = true");
      console.log(
        `tutorial: values on the platform ${Math.round(doneMs)} ms after the first command`,
      );
    },
    TIMEOUT_MS,
  );
});

describe("the examples", () => {
  test(
    "the converter for MQTT prints what the page says",
    async () => {
      using dir = cleanDir();
      const blocks = codeBlocks(README, "A converter for MQTT");
      for (const block of blocks.filter(({ file }) => file !== undefined)) {
        write(dir.path, block);
      }
      const [command] = blocks.filter(({ language }) => language === "sh");
      const out = await type(command === undefined ? "" : linesOf(command).join(), dir.path);
      const said = out.trim().replace(/"ts":\d+/, '"ts":1700000000000');
      expect(readFileSync(join(import.meta.dir, "../..", README), "utf8")).toContain(`\`${said}\``);
      expect(said).toContain('"level":50.0');
    },
    TIMEOUT_MS,
  );

  test(
    "the connector that listens takes datagrams through its converter",
    async () => {
      using dir = cleanDir();
      const port = await freePort();
      const blocks = codeBlocks(README, "A connector that listens");
      for (const block of blocks.filter(({ file }) => file !== undefined)) {
        write(dir.path, block, (text) => text.replace('"port": 9100', `"port": ${port}`));
      }
      const [command] = blocks.filter(({ language }) => language === "sh");
      await using typed = new Typed(command === undefined ? "" : linesOf(command).join(), dir.path);
      await until("it listens", () => typed.output.includes("status connected"), WAIT_MS);
      const socket = createSocket("udp4");
      socket.send("21.5\n", port, "127.0.0.1");
      await until(`a record; ${typed.output}`, () => typed.output.includes("record "), WAIT_MS);
      socket.close();
      expect(typed.output).toMatch(
        /record \{"deviceName":"Beacon 1","telemetry":\[\{"ts":\d+,"values":\{"celsius":21\.5\}\}\]\}/,
      );
    },
    TIMEOUT_MS,
  );
});
