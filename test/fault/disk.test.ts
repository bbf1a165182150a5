// A disk that is full, refuses or is slow, under load and with the platform away: nothing is lost, and it recovers by itself.
import { describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DiskShim, hasCompiler } from "../support/disk-shim.ts";
import { until } from "../support/until.ts";
import { COMPLETE, FaultLine, isFull, shortOrFull } from "./harness.ts";

const TIMEOUT_MS = isFull ? 300_000 : 120_000;
const FAULT_MS = shortOrFull(10_000, 30_000);
const VALUES_PER_SECOND = 500;
const REFUSED = "Cannot write to the event store; trying again";
const WORKS = "The event store can be written again";

const MOUNT = 'mount -t tmpfs -o size=64m,mode=700 tmpfs "$0" && exec "$@"';
const MEGABYTE = 1024 * 1024;
/** A mount of its own needs root or user namespaces; a machine without them cannot run this. */
const canMount =
  Bun.spawnSync(["unshare", "-m", "sh", "-c", MOUNT, "/mnt", "true"], { stderr: "ignore" })
    .exitCode === 0;

/** Fills the file system of `dir` to the last byte; returns the file to delete. */
function fill(dir: string): string {
  const ballast = join(dir, "ballast");
  for (const size of [MEGABYTE, 4096]) {
    for (;;) {
      try {
        writeFileSync(ballast, new Uint8Array(size), { flag: "a" });
      } catch {
        break; // It is full.
      }
    }
  }
  return ballast;
}

/** Waits for a line of the program's log, after `from` characters of it. */
async function said(line: FaultLine, text: string, from: number): Promise<void> {
  await until(`${line.name}: "${text}"`, () => line.gateway.output.slice(from).includes(text));
}

/** Lets the platform be away while the disk is not there, so that the store has to grow; then both come back. */
async function refuseAndRecover(
  line: FaultLine,
  disk: { readonly gone: () => void; readonly back: () => void },
): Promise<void> {
  const from = line.gateway.output.length;
  await line.platform.down();
  disk.gone();
  await said(line, REFUSED, from);
  await line.pass(FAULT_MS);
  const { received } = { received: line.source.sent };
  disk.back();
  await line.platform.up();
  const flowsMs = await line.untilFlows(30_000);
  await said(line, WORKS, from);
  // Sampling goes on: what is sent after it arrives too.
  await line.untilFlows(30_000, VALUES_PER_SECOND);
  line.note("recovery", { sentUntilThen: received, flowsMs: Math.round(flowsMs) });
}

describe("a disk that", () => {
  test.concurrent.skipIf(!canMount)(
    "is full for some time loses nothing and recovers by itself",
    async () => {
      await using line = await FaultLine.open({
        name: "full disk",
        valuesPerSecond: VALUES_PER_SECOND,
        launch: (dir) => ({
          prefix: ["unshare", "-m", "sh", "-c", MOUNT, join(dir, "data")],
        }),
      });
      mkdirSync(join(line.gateway.dir, "data"));
      await line.run();
      await line.pass(1000 * line.random());
      // The data folder as the program sees it.
      const dir = join(`/proc/${line.gateway.pid}/root`, line.gateway.dir, "data");
      let ballast = "";
      await refuseAndRecover(line, {
        gone: () => {
          ballast = fill(dir);
        },
        back: () => rmSync(ballast),
      });
      expect(await line.finish(60_000)).toEqual(COMPLETE);
      expect(line.ledger().dropped).toEqual({});
    },
    TIMEOUT_MS,
  );

  for (const refuses of ["EROFS", "EIO"] as const) {
    test.concurrent.skipIf(!hasCompiler)(
      `refuses writes with ${refuses} for some time loses nothing and recovers by itself`,
      async () => {
        await using shim = await DiskShim.build();
        await using line = await FaultLine.open({
          name: `disk that says ${refuses}`,
          valuesPerSecond: VALUES_PER_SECOND,
          launch: () => ({ env: shim.env }),
        });
        await line.run();
        await line.pass(1000 * line.random());
        await refuseAndRecover(line, {
          gone: () => shim.set({ refuses }),
          back: () => shim.set({}),
        });
        expect(await line.finish(60_000)).toEqual(COMPLETE);
        expect(line.ledger().dropped).toEqual({});
      },
      TIMEOUT_MS,
    );
  }

  test.concurrent.skipIf(!hasCompiler)(
    "needs 200 ms for each sync loses nothing, and values keep flowing",
    async () => {
      await using shim = await DiskShim.build();
      await using line = await FaultLine.open({
        name: "slow disk",
        valuesPerSecond: VALUES_PER_SECOND,
        launch: () => ({ env: shim.env }),
      });
      await line.run();
      shim.set({ syncDelayMs: 200 });
      line.arrivals.watchGaps();
      const before = line.arrivals.count;
      await line.pass(FAULT_MS);
      const perSecond = ((line.arrivals.count - before) / FAULT_MS) * 1000;
      const gapMs = line.arrivals.longestGapMs;
      line.note("slow", { perSecond: Math.round(perSecond), gapMs: Math.round(gapMs) });
      // The shim works: a commit cannot be quicker than its sync.
      expect(gapMs).toBeGreaterThan(150);
      expect(gapMs).toBeLessThan(5000);
      expect(perSecond).toBeGreaterThan(VALUES_PER_SECOND * 0.8);
      expect(await line.finish(60_000)).toEqual(COMPLETE);
      expect(line.ledger().dropped).toEqual({});
    },
    TIMEOUT_MS,
  );
});
