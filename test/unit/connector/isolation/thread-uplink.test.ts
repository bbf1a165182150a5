import { describe, expect, test } from "bun:test";
import {
  type FromThread,
  type HostRequest,
  MAX_ACCEPTS,
  MAX_TRIED,
} from "../../../../src/connector/isolation/port.ts";
import { ThreadUplink } from "../../../../src/connector/isolation/thread-uplink.ts";
import { RejectedError } from "../../../../src/sdk/errors.ts";
import type { DeviceData } from "../../../../src/sdk/model.ts";

const RECORD: DeviceData = { deviceName: "D", telemetry: [{ values: { n: 1 } }] };

function setUp() {
  const posted: FromThread[] = [];
  const asked: { readonly request: HostRequest; readonly answer: (text: string) => void }[] = [];
  const rejected: (readonly [string, number])[] = [];
  const uplink = new ThreadUplink({
    post: (message) => posted.push(message),
    ask: async (request) => {
      const { promise, resolve } = Promise.withResolvers<string>();
      asked.push({ request, answer: resolve });
      return await promise;
    },
    rejected: (reason, values) => rejected.push([reason, values]),
  });
  const { signal } = new AbortController();
  return { uplink, posted, asked, rejected, signal };
}

describe("ThreadUplink", () => {
  test("accept() resolves with what the store has answered", async () => {
    const { uplink, asked, signal } = setUp();
    const stored = uplink.accept(RECORD, signal, { urgent: true });
    const dropped = uplink.accept([RECORD], signal);
    await Promise.resolve();
    expect(asked[0]?.request).toMatchObject({ ask: "accept", urgent: true });
    asked[0]?.answer("stored");
    asked[1]?.answer("dropped store-full");
    expect(await stored).toEqual({ status: "stored" });
    expect(await dropped).toEqual({ status: "dropped", reason: "store-full" });
  });

  test("accept() waits in the thread when too much is under way, in order", async () => {
    const { uplink, asked, signal } = setUp();
    const all = Array.from({ length: MAX_ACCEPTS + 2 }, () => uplink.accept(RECORD, signal));
    await Promise.resolve();
    expect(asked.length).toBe(MAX_ACCEPTS);
    for (let index = 0; index < all.length; index += 1) {
      asked[index]?.answer("stored");
      await all[index];
    }
    expect(asked.length).toBe(MAX_ACCEPTS + 2);
  });

  test("an abort while accept() waits sends nothing", async () => {
    const { uplink, asked, signal } = setUp();
    const all = Array.from({ length: MAX_ACCEPTS }, () => uplink.accept(RECORD, signal));
    const stop = new AbortController();
    const waiting = uplink.accept(RECORD, stop.signal);
    stop.abort(new Error("stop"));
    expect(await waiting.catch((error: unknown) => error)).toEqual(new Error("stop"));
    for (const { answer } of asked) {
      answer("stored");
    }
    await Promise.all(all);
    expect(asked.length).toBe(MAX_ACCEPTS);
  });

  test("tryAccept() never waits: it overflows until there is credit, and counts that", () => {
    const { uplink, posted, rejected } = setUp();
    for (let index = 0; index < MAX_TRIED; index += 1) {
      expect(uplink.tryAccept(RECORD)).toEqual({ status: "queued" });
    }
    expect(uplink.tryAccept(RECORD)).toEqual({ status: "overflow" });
    expect(rejected).toEqual([["overflow", 1]]);
    expect(posted.length).toBe(MAX_TRIED);
    const [first] = posted;
    uplink.credit({ type: "credit", records: 1, chars: first?.type === "try" ? first.chars : 0 });
    expect(uplink.tryAccept(RECORD)).toEqual({ status: "queued" });
  });

  test("what cannot be stored is refused here, counted by its reason", async () => {
    const { uplink, asked, posted, rejected, signal } = setUp();
    const refuse = async (data: unknown): Promise<unknown> =>
      await uplink.accept(data as DeviceData, signal).catch((error: unknown) => error);
    for (const data of [undefined, 5, { deviceName: "" }, { deviceName: "D", telemetry: 1 }]) {
      expect(await refuse(data)).toBeInstanceOf(RejectedError);
    }
    expect(await refuse({ deviceName: "D" })).toMatchObject({ reason: "no-value" });
    expect(await refuse({ deviceName: "D", attributes: { a: Number.NaN } })).toMatchObject({
      reason: "bad-value",
    });
    expect(() => uplink.tryAccept({ deviceName: "D" })).toThrow(RejectedError);
    expect(new Set(rejected.map(([reason]) => reason))).toEqual(
      new Set(["bad-record", "no-value", "bad-value"]),
    );
    expect([asked, posted]).toEqual([[], []]);
  });
});
