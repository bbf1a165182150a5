// The section "First real device in five minutes" of the READMEs, word for word, in a clean directory.
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { BINARY } from "../support/gateway-process.ts";
import { freePortRow } from "../support/ports.ts";
import { temporaryDir } from "../support/temporary-dir.ts";
import { Typed } from "../support/typed.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 240_000;
/** A machine may be busy with other tests. */
const PATIENCE_MS = 60_000;
const HEADING = "## First real device in five minutes";
const root = resolve(import.meta.dir, "../..");
const files = ["README.md", "src/commands/init/README.md"].filter((file) =>
  readFileSync(join(root, file), "utf8").includes(HEADING),
);

/** The command lines of the section, block by block. */
function blocksOf(file: string): readonly (readonly string[])[] {
  const [, after = ""] = readFileSync(join(root, file), "utf8").split(HEADING);
  const [section = ""] = after.split(/^## /m);
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = ""]) =>
    block
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== ""),
  );
}

describe("the first device", () => {
  test("is described", () => {
    expect(files).not.toEqual([]);
  });

  for (const file of files) {
    test(
      `${file}: its commands work as they stand`,
      async () => {
        using dir = temporaryDir();
        mkdirSync(join(dir.path, "bin"));
        symlinkSync(BINARY, join(dir.path, "bin/tbgw"));
        const blocks = blocksOf(file);
        const practice = blocks.find(([line]) => line?.startsWith("tbgw demo") === true);
        const lines = blocks[blocks.indexOf(practice ?? []) + 1] ?? [];
        expect(lines.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual([
          "tbgw init",
          "tbgw check",
          "tbgw run",
        ]);
        // The ports are the only thing that a machine with other tests on it may not have free.
        const first = await freePortRow(4);
        const onPorts = (line: string): string =>
          line.replaceAll(/\b1883([0-2])\b/g, (_, offset: string) =>
            String(first + Number(offset)),
          );
        await using peers = new Typed(`${practice?.[0] ?? ""} --port ${first}`, dir.path);
        const areThere = (): boolean => peers.output.includes("until Ctrl-C");
        await until("the peers are there", areThere, PATIENCE_MS);
        const [init = "", check = "", run = ""] = lines.map(onPorts);
        for (const line of [init, check]) {
          await using typed = new Typed(line, dir.path);
          const code = await typed.ended();
          expect({ line, code, output: code === 0 ? "" : typed.output }).toEqual({
            line,
            code: 0,
            output: "",
          });
        }
        await using _gateway = new Typed(run, dir.path);
        for (const value of ["Modbus 1 r_0 = ", "Pump 1 rpm = "]) {
          await until(`${value} arrived`, () => peers.output.includes(value), PATIENCE_MS);
        }
      },
      TIMEOUT_MS,
    );
  }
});
