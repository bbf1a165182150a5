import { expect, test } from "bun:test";
import { join } from "node:path";

const SCRIPT = join(import.meta.dir, "store-disk-full.ts");
const MOUNT = "mount -t tmpfs -o size=8m,mode=700 tmpfs /mnt && exec";
/** A mount of its own needs root or user namespaces; a machine without them cannot run this. */
const canMount =
  Bun.spawnSync(["unshare", "-m", "sh", "-c", `${MOUNT} true`], { stderr: "ignore" }).exitCode ===
  0;

test.skipIf(!canMount)(
  "a full disk refuses with TransientError, loses nothing, and the store goes on when there is room",
  () => {
    const command = `${MOUNT} "${process.execPath}" "${SCRIPT}" /mnt`;
    const run = Bun.spawnSync(["unshare", "-m", "sh", "-c", command], { stderr: "inherit" });
    expect(run.exitCode).toBe(0);
    const result: unknown = JSON.parse(run.stdout.toString());
    expect(result).toMatchObject({
      refusal: "TransientError",
      secondRefusal: "TransientError",
      works: true,
      ledger: { dropped: {}, quarantined: 0 },
    });
    const { stored, read, ledger, said } = result as {
      stored: number;
      read: number;
      ledger: { stored: number; acknowledged: number; queued: number };
      said: string[];
    };
    expect(stored).toBeGreaterThan(50);
    expect(read).toBe(stored);
    expect(ledger).toMatchObject({ stored: stored + 1, acknowledged: stored, queued: 1 });
    expect(said).toEqual([
      "Cannot write to the event store; trying again",
      "The event store can be written again",
    ]);
  },
  60_000,
);
