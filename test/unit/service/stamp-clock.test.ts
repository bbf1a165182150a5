// The stamps of a machine that starts without the time, from the sample to what the sender reads.
import { afterEach, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isProvisional, readJournal } from "../../../src/delivery/boot-journal.ts";
import { lateStamps } from "../../../src/delivery/late-stamps.ts";
import { systemClock } from "../../../src/sdk/clock.ts";
import { type EpochMs, epochMs } from "../../../src/sdk/model.ts";
import { openStampClock, type StampClock } from "../../../src/service/stamp-clock.ts";
import { type EventStore, START } from "../../../src/storage/event-store.ts";
import { openEventStore } from "../../../src/storage/open.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { batchOf, settings } from "../storage/batches.ts";

const BUILD_MS = 1_790_000_000_000;
const never = new AbortController().signal;
const folders: string[] = [];
afterEach(async () => {
  await Promise.all(folders.splice(0).map((path) => rm(path, { recursive: true, force: true })));
});

/** A clock whose wall time can be set, as NTP does it. */
class SettableClock extends FakeClock {
  #shiftMs = 0;

  override now(): EpochMs {
    return epochMs(super.now() + this.#shiftMs);
  }

  setTo(ms: number): void {
    this.#shiftMs += ms - this.now();
  }
}

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "tbgw-clock-"));
  folders.push(dir);
  return dir;
}

/** A process that starts `uptimeMs` after the machine; its wall clock says 1970 and a bit. */
function start(dataDir: string, id: string, uptimeMs: number, nowMs = uptimeMs) {
  const clock = new SettableClock(nowMs);
  const memory = memoryLog();
  const options = { clock, log: memory.log, dataDir, buildMs: BUILD_MS, boot: { id, uptimeMs } };
  return { clock, memory, stamps: openStampClock(options) };
}

function store(dataDir: string): Promise<EventStore> {
  const { log } = memoryLog();
  return openEventStore(settings(), { clock: systemClock, log, dataDir });
}

/** Stores a sample taken at this moment. */
async function sample(to: EventStore, stamps: StampClock, seq: number): Promise<void> {
  const json = `{"ts":${stamps.clock.now()},"values":{"seq":${seq}}}`;
  const one = { kind: "telemetry" as const, device: "D", deviceType: "default", json, values: 1 };
  const { bytes, count, values } = batchOf([one]);
  await to.append(bytes, count, { urgent: true, values }, never);
}

/** What the sender gets, as `[seq, ts]`. */
async function read(from: EventStore, dataDir: string): Promise<unknown[]> {
  const clock = new FakeClock();
  const { store: stamped } = lateStamps(from, dataDir, clock);
  const { records } = await stamped.next(START, { records: 100, bytes: 1e6 }, never);
  return records.map(({ json }) => {
    const { ts, values } = JSON.parse(json);
    return [values.seq, ts];
  });
}

describe("openStampClock()", () => {
  test("is the clock itself on a machine that knows the time", async () => {
    const dir = await folder();
    const clock = new FakeClock(BUILD_MS);
    const { log, records } = memoryLog();
    using stamps = openStampClock({ clock, log, dataDir: dir, buildMs: BUILD_MS });
    expect(stamps.clock).toBe(clock);
    expect(stamps.isSet).toBe(true);
    expect([clock.waiting, records.length, readJournal(dir).length]).toEqual([0, 0, 0]);
  });

  test("samples taken before the time is known get their real time once it is", async () => {
    const dir = await folder();
    const { clock, stamps, memory } = start(dir, "a", 20_000);
    using _stamps = stamps;
    await using events = await store(dir);
    expect(stamps.isSet).toBe(false);
    await sample(events, stamps, 1);
    await clock.advance(5000);
    await sample(events, stamps, 2);
    clock.setTo(BUILD_MS + 100_000);
    await sample(events, stamps, 3);
    await clock.advance(1000);
    expect(stamps.isSet).toBe(true);
    expect(memory.messages("info")).toEqual(["The clock is set"]);
    expect(clock.waiting).toBe(0);
    expect(await read(events, dir)).toEqual([
      [1, BUILD_MS + 95_000],
      [2, BUILD_MS + 100_000],
      [3, BUILD_MS + 100_000],
    ]);
  });

  test("a restart of the process within the boot changes nothing", async () => {
    const dir = await folder();
    await using events = await store(dir);
    {
      using stamps = start(dir, "a", 20_000).stamps;
      await sample(events, stamps, 1);
    }
    const { clock, stamps } = start(dir, "a", 50_000);
    using _stamps = stamps;
    await sample(events, stamps, 2);
    clock.setTo(BUILD_MS + 100_000);
    await clock.advance(1000);
    expect(await read(events, dir)).toEqual([
      [1, BUILD_MS + 70_000],
      [2, BUILD_MS + 100_000],
    ]);
  });

  test("boots that never knew the time come before the one that does, in order", async () => {
    const dir = await folder();
    await using events = await store(dir);
    for (const [seq, id] of ["a", "b", "c"].entries()) {
      const { clock, stamps } = start(dir, id, 10_000);
      using _stamps = stamps;
      await clock.advance(70_000);
      await sample(events, stamps, seq);
    }
    using stamps = start(dir, "d", 3000, BUILD_MS + 3000).stamps;
    expect(stamps.isSet).toBe(true);
    await sample(events, stamps, 3);
    const found = await read(events, dir);
    const times = found.map((pair) => Number(Array.isArray(pair) ? pair[1] : Number.NaN));
    expect(times).toEqual([...times].sort((left, right) => left - right));
    expect(times.at(-1)).toBe(BUILD_MS + 3000);
    expect(times.at(-2)).toBeLessThanOrEqual(BUILD_MS);
    expect(times[0]).toBeGreaterThan(BUILD_MS - 600_000);
  });

  test("without a place for notes the wall clock is used as it is", async () => {
    const dir = await folder();
    const file = join(dir, "file");
    await writeFile(file, "");
    await chmod(file, 0o400);
    const { stamps, memory } = start(join(file, "data"), "a", 20_000);
    using _stamps = stamps;
    expect(isProvisional(stamps.clock.now())).toBe(false);
    expect(stamps.isSet).toBe(false);
    expect(memory.messages("error").length).toBe(1);
  });
});

describe("lateStamps()", () => {
  test("is the store itself on a machine that never lacked the time", async () => {
    const dir = await folder();
    await using events = await store(dir);
    expect(lateStamps(events, dir, systemClock).store).toBe(events);
  });

  test("holds records until the time is known, and lets those before them pass", async () => {
    const dir = await folder();
    const { clock, stamps } = start(dir, "a", 20_000);
    using _stamps = stamps;
    await using events = await store(dir);
    const known = {
      clock: new FakeClock(BUILD_MS),
      isSet: true,
      [Symbol.dispose]: () => undefined,
    };
    await sample(events, known, 1);
    await sample(events, stamps, 2);
    const senderClock = new FakeClock();
    const stamped = lateStamps(events, dir, senderClock);
    const limit = { records: 100, bytes: 1e6 };
    const first = await stamped.store.next(START, limit, never);
    expect(first.records.length).toBe(1);
    const rest = stamped.store.next(first.last, limit, never);
    await settled();
    expect(stamped.isHeld).toBe(true);
    clock.setTo(BUILD_MS + 500_000);
    await clock.advance(1000);
    await senderClock.advance(1000);
    const { records } = await rest;
    expect(records[0]?.json).toBe(`{"ts":${BUILD_MS + 500_000},"values":{"seq":2}}`);
    expect(stamped.isHeld).toBe(false);
  });

  test("a time before 1970 that a source gave itself passes unchanged", async () => {
    const dir = await folder();
    using _stamps = start(dir, "a", 20_000).stamps;
    await using events = await store(dir);
    const early = { clock: new FakeClock(-5000), isSet: true, [Symbol.dispose]: () => undefined };
    await sample(events, early, 1);
    expect(await read(events, dir)).toEqual([[1, -5000]]);
  });
});

/** Lets everything that is due in this turn happen. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await Promise.resolve();
  }
}
