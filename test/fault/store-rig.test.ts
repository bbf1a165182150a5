import { expect, test } from "bun:test";
import { join } from "node:path";

const SCRIPT = join(import.meta.dir, "store-rig.ts");
const MOUNT = "mount -t tmpfs -o size=64m,mode=700 tmpfs /mnt && exec";
/** A mount of its own needs root or user namespaces; a machine without them cannot run this. */
const canMount =
  Bun.spawnSync(["unshare", "-m", "sh", "-c", `${MOUNT} true`], { stderr: "ignore" }).exitCode ===
  0;

test.skipIf(!canMount)(
  "a disk that our own backlog has filled comes free by releases alone, and the ledger balances",
  () => {
    const command = `${MOUNT} "${process.execPath}" "${SCRIPT}" /mnt/data`;
    const run = Bun.spawnSync(["unshare", "-m", "sh", "-c", command], {
      stderr: "inherit",
      timeout: 60_000,
    });
    expect(run.exitCode).toBe(0);
    const result: unknown = JSON.parse(run.stdout.toString());
    expect(result).toMatchObject({
      lost: 0,
      records: 0,
      balance: { intake: 0, delivery: 0 },
      ledger: { queued: 0, dropped: {}, quarantined: 0 },
    });
    const { heldWhenFull, afterFull, afterBallast, refusals } = result as {
      heldWhenFull: number;
      afterFull: number;
      afterBallast: number;
      refusals: Record<string, number>;
    };
    expect(heldWhenFull).toBeGreaterThan(300);
    expect(Object.keys(refusals)).toEqual(["TransientError"]);
    // No wait for a timer: the next batch after the room is there is taken.
    expect([afterFull, afterBallast]).toEqual([1, 1]);
  },
  90_000,
);
