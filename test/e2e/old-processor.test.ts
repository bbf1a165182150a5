// The program for PCs without AVX, executed by an emulator that refuses what a processor of 2009 does not have.
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { isFull } from "../fault/harness.ts";

const BINARY = resolve(import.meta.dir, "../../dist/tbgw-linux-x64-baseline");
const TIMEOUT_MS = 180_000;
/** Needs AVX2; says 49. */
const MODERN = `
#include <immintrin.h>
#include <stdio.h>
int main(void) {
  volatile int in[8] = {7, 7, 7, 7, 7, 7, 7, 7};
  int out[8];
  __m256i all = _mm256_loadu_si256((void *)in);
  _mm256_storeu_si256((void *)out, _mm256_mullo_epi32(all, all));
  printf("%d", out[0]);
}
`;

async function on(processor: string, program: string, ...args: readonly string[]) {
  const command = ["qemu-x86_64-static", "-cpu", processor, program, ...args];
  const child = Bun.spawn(command, { env: {}, stdout: "pipe", stderr: "ignore" });
  const out = await new Response(child.stdout).text();
  return { code: await child.exited, out };
}

test(
  "the program for old processors says its version and checks a configuration without AVX",
  async () => {
    const dir = await mkdtemp(join(tmpdir(), "tbgw-old-"));
    try {
      const security = { type: "accessToken", accessToken: "TOKEN" };
      const gateway = { thingsboard: { host: "tb.example.com", security }, connectors: [] };
      await Bun.write(join(dir, "tb_gateway.json"), JSON.stringify(gateway));
      await Bun.write(join(dir, "modern.c"), MODERN);
      const modern = join(dir, "modern");
      const compiler = ["gcc", "-O1", "-mavx2", "-o", modern, join(dir, "modern.c")];
      expect(Bun.spawnSync(compiler).exitCode).toBe(0);
      // The emulator does what it is there for.
      expect(await on("max", modern)).toEqual({ code: 0, out: "49" });
      expect((await on("Nehalem", modern)).out).toBe("");

      const version = await on("Nehalem", BINARY, "--version");
      expect(version.out).toMatch(/^tbgw \d+\.\d+\.\d+\n$/);
      const check = await on("Nehalem", BINARY, "check", "--config", dir);
      expect(check).toMatchObject({ code: 0, out: expect.stringContaining("0 errors") });
    } finally {
      await rm(dir, { recursive: true });
    }
  },
  TIMEOUT_MS,
);

test.if(isFull)(
  "the program for old processors runs the demo without AVX",
  async () => {
    const { code, out } = await on("Nehalem", BINARY, "demo", "--seconds", "20", "--json");
    console.log(`old processor: exit ${code} ${out.trim()}`);
    expect(code).toBe(0);
    const summary = JSON.parse(out);
    expect(summary).toMatchObject({
      devices: 5,
      queued: 0,
      rejected: 0,
      dropped: 0,
      values: { "Press 1": { forceSetpoint: "120.0" } },
    });
    expect(summary.acknowledged).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
