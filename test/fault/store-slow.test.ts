import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SYNC_MS = 200;
const SCRIPT = join(import.meta.dir, "store-slow.ts");
const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int slow(const char *name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  usleep(${SYNC_MS * 1000});
  return real(fd);
}
int fsync(int fd) { return slow("fsync", fd); }
int fdatasync(int fd) { return slow("fdatasync", fd); }
`;
const hasCompiler = Bun.which("gcc") !== null;

test.skipIf(!hasCompiler)(
  "a disk that takes 200 ms to sync costs one sync for all who wait, and loses nothing",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "tbgw-slow-"));
    try {
      writeFileSync(join(folder, "slow.c"), SHIM);
      const shim = join(folder, "slow.so");
      const built = Bun.spawnSync(
        ["gcc", "-shared", "-fPIC", "-o", shim, join(folder, "slow.c"), "-ldl"],
        { stderr: "inherit" },
      );
      expect(built.exitCode).toBe(0);
      const run = Bun.spawnSync([process.execPath, SCRIPT, join(folder, "data")], {
        env: { ...process.env, LD_PRELOAD: shim },
        stderr: "inherit",
        timeout: 60_000,
      });
      expect(run.exitCode).toBe(0);
      const result = JSON.parse(run.stdout.toString()) as { perRoundMs: number };
      expect(result).toMatchObject({
        read: 800,
        balance: { intake: 0, delivery: 0 },
        ledger: { stored: 800, acknowledged: 800, queued: 0, dropped: {} },
      });
      // The shim works, and a hundred sources do not wait for a sync each.
      expect(result.perRoundMs).toBeGreaterThan(SYNC_MS * 0.9);
      expect(result.perRoundMs).toBeLessThan(SYNC_MS * 6);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  90_000,
);
