import { describe, expect, test } from "bun:test";
import { outlook } from "../../../src/service/outlook.ts";
import type { StorageSettings, StoreStats } from "../../../src/storage/event-store.ts";
import { someStatus } from "../../support/gateway-status.ts";

const DAY_MS = 86_400_000;

const settings: StorageSettings = {
  kind: "sqlite",
  maxRecords: 0,
  maxBytes: undefined,
  ttlMs: 0,
  whenFull: "drop-oldest",
  durability: "durable",
  commitIntervalMs: 250,
  drain: "fifo",
};

function store(changed: Partial<StoreStats>): StoreStats {
  return { ...someStatus().store, marks: new Map(), ...changed };
}

describe("outlook()", () => {
  test("the room lasts as long as values of their measured size fit", () => {
    const full = store({ values: 100_000, bytes: 600_000, maxBytes: 6_600_000 });
    const rates = { received: 10, stored: 10, acknowledged: 10 };
    // 6 bytes a value, 60 bytes a second.
    expect(outlook(full, rates, settings).lastsMs).toBe(100_000_000);
  });

  test("age is a limit as well as size", () => {
    const rates = { received: 1, stored: 1, acknowledged: 1 };
    const empty = store({ values: 0, bytes: 0, maxBytes: 1_073_741_824 });
    expect(outlook(empty, rates, { ...settings, ttlMs: 7 * DAY_MS }).lastsMs).toBe(7 * DAY_MS);
    expect(outlook(empty, rates, settings).lastsMs).toBeGreaterThan(1000 * DAY_MS);
  });

  test("a backlog clears when more goes out than in, and not otherwise", () => {
    const { ledger } = someStatus().store;
    const waiting = store({ ledger: { ...ledger, queued: 22_800 } });
    const clearing = { received: 10, stored: 10, acknowledged: 20 };
    expect(outlook(waiting, clearing, settings).clearsInMs).toBe(2_280_000);
    const growing = { received: 10, stored: 10, acknowledged: 5 };
    expect(outlook(waiting, growing, settings).clearsInMs).toBeUndefined();
  });

  test("nothing is promised while nothing comes in, nor more than a memory store knows", () => {
    const rates = { received: 0, stored: 0, acknowledged: 0 };
    expect(outlook(store({}), rates, settings).lastsMs).toBeUndefined();
    const memory = { ...settings, kind: "memory" } as const;
    const some = { received: 5, stored: 5, acknowledged: 0 };
    expect(outlook(store({ horizonMs: 5000 }), some, memory).lastsMs).toBe(5000);
  });
});
