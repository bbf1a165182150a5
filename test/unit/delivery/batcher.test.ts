import { describe, expect, test } from "bun:test";
import { Batcher, type OutgoingBatch } from "../../../src/delivery/batcher.ts";
import { MAX_BATCHES_IN_FLIGHT } from "../../../src/delivery/port.ts";
import { type EncodedRecord, readBatch } from "../../../src/sdk/batch.ts";
import { TransientError } from "../../../src/sdk/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const { signal } = new AbortController();

function record(json: string): EncodedRecord {
  return { kind: "telemetry", device: "A", deviceType: "default", json, values: 1 };
}

function setUp() {
  const clock = new FakeClock();
  const sent: { readonly id: number; readonly batch: OutgoingBatch }[] = [];
  const batcher = new Batcher(clock, (id, batch) => sent.push({ id, batch }));
  return { clock, sent, batcher };
}

/** Resolves when the callbacks of this turn of the event loop have run. */
async function turn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  await promise;
}

/** Whether a promise has settled by the next turn. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  await turn();
  return settled;
}

describe("Batcher", () => {
  test("what arrives in one turn travels as one batch, in order, and resolves when it is settled", async () => {
    const { sent, batcher } = setUp();
    const first = batcher.append([record("1")], { urgent: false }, signal);
    const second = batcher.append([record("2"), record("3")], { urgent: true }, signal);
    await turn();
    expect(sent.length).toBe(1);
    const { id = 0, batch } = sent[0] ?? {};
    expect(readBatch(batch?.bytes ?? new Uint8Array()).map(({ json }) => json)).toEqual([
      "1",
      "2",
      "3",
    ]);
    expect(batch?.urgent).toBe(true);
    expect(batch?.collected.received).toBe(3);
    expect(await isSettled(first)).toBe(false);
    batcher.settle(id, undefined, false);
    await Promise.all([first, second]);
  });

  test("keeps at most the credit of batches under way; the rest waits and leaves as one", async () => {
    const { sent, batcher } = setUp();
    for (let index = 0; index < MAX_BATCHES_IN_FLIGHT + 5; index += 1) {
      batcher.append([record(String(index))], { urgent: false }, signal).catch(() => undefined);
      await turn();
    }
    expect(sent.length).toBe(MAX_BATCHES_IN_FLIGHT);
    batcher.settle(sent[0]?.id ?? 0, undefined, false);
    expect(sent.length).toBe(MAX_BATCHES_IN_FLIGHT + 1);
    expect(sent.at(-1)?.batch.records).toBe(5);
  });

  test("append() waits when 256 KiB are pending, tryAppend() is refused, and an abort stores nothing", async () => {
    const { sent, batcher } = setUp();
    const big = record("x".repeat(300 * 1024));
    for (let index = 0; index < MAX_BATCHES_IN_FLIGHT + 1; index += 1) {
      batcher.append([big], { urgent: false }, signal).catch(() => undefined);
      await turn();
    }
    const stop = new AbortController();
    const waiting = batcher.append([record("late")], { urgent: false }, stop.signal);
    expect(await isSettled(waiting)).toBe(false);
    expect(batcher.tryAppend([record("try")], () => undefined)).toBe(false);
    stop.abort(new TransientError("stop"));
    await expect(waiting).rejects.toThrow("stop");
    const before = sent.length;
    batcher.settle(sent[0]?.id ?? 0, undefined, false);
    expect(sent.length).toBe(before + 1);
    expect(sent.at(-1)?.batch.records).toBe(1);
  });

  test("counts without records travel after a second", async () => {
    const { clock, sent, batcher } = setUp();
    batcher.count("rejected", "not-json", 1);
    batcher.count("filtered", "unchanged", 2);
    await clock.advance(999);
    expect(sent.length).toBe(0);
    await clock.advance(1);
    expect(sent[0]?.batch.collected).toEqual({
      received: 3,
      rejected: { "not-json": 1 },
      filtered: { unchanged: 2 },
    });
  });

  test("a batch the disk refused takes its counts to the next one, but not its records", async () => {
    const { sent, batcher } = setUp();
    batcher.count("rejected", "bad-value", 4);
    const lost = batcher.append([record("1")], { urgent: true }, signal);
    lost.catch(() => undefined);
    await turn();
    batcher.settle(sent[0]?.id ?? 0, new TransientError("disk full"), false);
    await expect(lost).rejects.toThrow("disk full");
    const next = batcher.append([record("2")], { urgent: true }, signal);
    next.catch(() => undefined);
    await turn();
    const collected = sent.map(({ batch }) => batch.collected);
    const received = collected.slice(1).reduce((sum, counts) => sum + counts.received, 0);
    expect(received).toBe(5);
    expect(collected.slice(1).some((counts) => counts.rejected["bad-value"] === 4)).toBe(true);
    expect(sent.slice(1).reduce((sum, { batch }) => sum + batch.records, 0)).toBe(1);
  });

  test("close() rejects everything that waits and whatever comes later", async () => {
    const { batcher } = setUp();
    const waiting = batcher.append([record("1")], { urgent: false }, signal);
    batcher.close(new TransientError("gone"));
    await expect(waiting).rejects.toThrow("gone");
    await expect(batcher.append([record("2")], { urgent: false }, signal)).rejects.toThrow("gone");
    expect(batcher.tryAppend([record("3")], () => undefined)).toBe(false);
  });
});
