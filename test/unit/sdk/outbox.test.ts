import { describe, expect, test } from "bun:test";
import { Pipeline } from "../../../src/pipeline/uplink.ts";
import { epochMs } from "../../../src/sdk/model.ts";
import { Outbox } from "../../../src/sdk/outbox.ts";
import { TestHost } from "../../support/connector-host.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const never = new AbortController().signal;
const record = (n: number) => ({
  deviceName: "A",
  telemetry: [{ ts: epochMs(n), values: { n } }],
});
const numbers = (host: TestHost): unknown[] =>
  host.accepted.map(({ telemetry }) => telemetry?.[0]?.values["n"]);

describe("Outbox", () => {
  test("put() does not wait for the store; what comes meanwhile goes up together", async () => {
    const clock = new FakeClock();
    await using host = new TestHost({ clock });
    host.hold = true;
    await using outbox = new Outbox(host.host);
    await outbox.put([record(1)], never);
    await outbox.put([record(2)], never);
    await outbox.put([record(3)], never);
    expect(host.pending.map(({ records }) => records.length)).toEqual([1]);
    host.pending.shift()?.resolve();
    await clock.advance(0);
    expect(host.pending.map(({ records }) => records.length)).toEqual([2]);
    host.releaseAll();
    await outbox.flush(1000);
    expect(numbers(host)).toEqual([1, 2, 3]);
  });

  test("put() waits while a record is older than a second, and counts it", async () => {
    const clock = new FakeClock();
    await using host = new TestHost({ clock });
    host.hold = true;
    await using outbox = new Outbox(host.host);
    await outbox.put([record(1)], never);
    await outbox.put([record(2)], never);
    await clock.advance(1000);
    let done = false;
    const waiting = outbox.put([record(3)], never).then(() => {
      done = true;
    });
    await clock.advance(0);
    expect(done).toBe(false);
    expect(host.counters.get("readsDelayed")).toBe(1);
    host.pending.shift()?.resolve();
    await waiting;
    host.releaseAll();
    await outbox.flush(1000);
    expect(numbers(host)).toEqual([1, 2, 3]);
  });

  test("put() waits from 1,000 records on, and ends with the signal", async () => {
    await using host = new TestHost();
    host.hold = true;
    await using outbox = new Outbox(host.host);
    await outbox.put([record(0)], never);
    const stop = new AbortController();
    const waiting = outbox.put(
      Array.from({ length: 1000 }, (_, n) => record(n)),
      stop.signal,
    );
    stop.abort(new Error("stop"));
    expect(await waiting.catch((error: unknown) => String(error))).toContain("stop");
  });

  test("an invalid record costs no other, and everything is counted once", async () => {
    const clock = new FakeClock();
    await using host = new TestHost({ clock });
    const ledger = { stored: 0, rejected: {} as Record<string, number> };
    const pipeline = new Pipeline({
      clock,
      log: host.host.log,
      onLost: () => undefined,
      sink: {
        append: (records) => {
          ledger.stored += records.reduce((sum, { values }) => sum + values, 0);
          return Promise.resolve();
        },
        tryAppend: () => false,
        countFiltered: () => undefined,
        countRejected: (reason, values) => {
          ledger.rejected[reason] = (ledger.rejected[reason] ?? 0) + values;
        },
      },
    });
    const uplink = pipeline.uplinkOf({ onDevice: () => "default" });
    await using outbox = new Outbox({ ...host.host, uplink });
    const nameless = { deviceName: " ", attributes: { a: 1, b: 2 } };
    await outbox.put([record(1), nameless, record(2)], never);
    await outbox.put([record(3)], never);
    await outbox.put([{ deviceName: "A", attributes: { a: Number.NaN, b: Number.NaN } }], never);
    await outbox.flush(1000);
    expect(ledger).toEqual({ stored: 3, rejected: { "no-device-name": 2, "bad-value": 2 } });
    // What the core has counted is not counted by the connector as well.
    expect(host.rejections.size).toBe(0);
  });

  test("another error of the store is thrown by the next put()", async () => {
    await using host = new TestHost();
    host.failWith = () => new Error("broken");
    await using outbox = new Outbox(host.host);
    await outbox.put([record(1)], never);
    await outbox.flush(1000);
    expect(
      await outbox.put([record(2)], never).then(
        () => "fine",
        (error: unknown) => String(error),
      ),
    ).toContain("broken");
  });
});
