// The programs for Alpine, executed by the loader of musl. Their C++ library is taken from a package of PyPI.
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { isFull } from "../fault/harness.ts";
import { MuslMachine } from "../support/musl-machine.ts";

const TIMEOUT_MS = 180_000;

async function expectDemo(machine: MuslMachine, ...before: readonly string[]): Promise<void> {
  const version = await machine.run(["--version"], before);
  expect(version.out).toMatch(/^tbgw \d+\.\d+\.\d+\n$/);
  const { code, out } = await machine.run(["demo", "--seconds", "5", "--json"], before);
  console.log(`musl: exit ${code} ${out.trim()}`);
  expect(code).toBe(0);
  const summary = JSON.parse(out);
  expect(summary).toMatchObject({
    devices: 5,
    rejected: 0,
    dropped: 0,
    values: { "Press 1": { forceSetpoint: "120.0" } },
  });
  expect(summary.acknowledged).toBeGreaterThan(0);
}

test(
  "the musl program says its version and runs the demo",
  async () => {
    expect(existsSync("/lib/ld-musl-x86_64.so.1")).toBe(true);
    await using machine = await MuslMachine.open("x64");
    await expectDemo(machine);
    if (isFull) {
      // There is one program for all processors with musl: also for those without AVX.
      await expectDemo(machine, "qemu-x86_64-static", "-cpu", "Nehalem");
    }
  },
  TIMEOUT_MS,
);

test.if(isFull)(
  "the musl program for ARM64 says its version and runs the demo",
  async () => {
    await using machine = await MuslMachine.open("arm64");
    await expectDemo(machine);
  },
  TIMEOUT_MS,
);
