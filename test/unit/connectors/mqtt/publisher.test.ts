import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { AttributeMessage, Publication } from "../../../../connectors/mqtt/downlink.ts";
import { Publisher } from "../../../../connectors/mqtt/publisher.ts";
import { RejectedError, TransientError } from "../../../../src/sdk/errors.ts";
import { TestHost } from "../../../support/connector-host.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { runs } from "../../../support/property-runs.ts";

const message = (slot: string, payload: string): AttributeMessage => ({
  slot,
  topic: `t/${slot}`,
  payload,
  qos: 1,
  retain: false,
});

/** A broker that takes what it is told to take. */
class Taker {
  readonly taken: string[] = [];
  answer: (message: Publication) => Promise<void> = async () => await Promise.resolve();

  readonly publish = async (one: Publication): Promise<void> => {
    await this.answer(one);
    this.taken.push(Buffer.from(one.payload).toString());
  };
}

function setUp(): { clock: FakeClock; host: TestHost; publisher: Publisher; taker: Taker } {
  const clock = new FakeClock();
  const host = new TestHost({ clock });
  return { clock, host, publisher: new Publisher(host.host), taker: new Taker() };
}

describe("Publisher", () => {
  test("keeps the latest message of each slot, in the order they came last", async () => {
    const { clock, publisher, taker } = setUp();
    publisher.put(message("a", "a1"));
    publisher.put(message("b", "b1"));
    publisher.put(message("a", "a2"));
    const stop = new AbortController();
    const run = publisher.run(taker.publish, stop.signal);
    await clock.advance(0);
    publisher.put(message("c", "c1"));
    await clock.advance(0);
    expect(taker.taken).toEqual(["b1", "a2", "c1"]);
    stop.abort();
    await run;
    expect(publisher.size).toBe(0);
  });

  test("what is not acknowledged when the connection ends comes first on the next one", async () => {
    const { clock, publisher, taker } = setUp();
    taker.answer = () => Promise.withResolvers<void>().promise;
    publisher.put(message("a", "a1"));
    publisher.put(message("b", "b1"));
    const stop = new AbortController();
    const run = publisher.run(taker.publish, stop.signal);
    await clock.advance(0);
    publisher.put(message("c", "c1"));
    publisher.put(message("b", "b2"));
    stop.abort();
    await run;
    expect(publisher.size).toBe(3);
    taker.answer = async () => await Promise.resolve();
    const again = new AbortController();
    const second = publisher.run(taker.publish, again.signal);
    await clock.advance(0);
    expect(taker.taken).toEqual(["a1", "c1", "b2"]);
    again.abort();
    await second;
  });

  test("tries again after a pause what fails for a while, and drops what is refused", async () => {
    const { clock, host, publisher, taker } = setUp();
    let failures = 2;
    taker.answer = async ({ topic }) => {
      await Promise.resolve();
      if (topic === "t/bad") {
        throw new RejectedError("not authorized");
      }
      if (failures > 0) {
        failures -= 1;
        throw new TransientError("busy");
      }
    };
    publisher.put(message("bad", "bad"));
    publisher.put(message("a", "a1"));
    const stop = new AbortController();
    const run = publisher.run(taker.publish, stop.signal);
    await clock.advance(0);
    expect(taker.taken).toEqual([]);
    expect(host.counters.get("refusedMessages")).toBe(1);
    await clock.advance(1000);
    await clock.advance(2000);
    expect(taker.taken).toEqual(["a1"]);
    stop.abort();
    await run;
    expect(clock.waiting).toBe(0);
  });

  test("holds at most 10,000 messages and 16 MiB; the oldest go, counted", () => {
    const { host, publisher } = setUp();
    for (let index = 0; index < 10_005; index += 1) {
      publisher.put(message(String(index), "x"));
    }
    expect(publisher.size).toBe(10_000);
    expect(host.counters.get("droppedMessages")).toBe(5);
    for (let index = 0; index < 20; index += 1) {
      publisher.put(message(`big${index}`, "x".repeat(1024 * 1024)));
    }
    expect(publisher.size).toBe(15);
    expect(host.lines.filter(({ level }) => level === "error")).toHaveLength(1);
  });

  test("publishes for each slot the last value that was put, whatever fails in between", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.boolean()), { maxLength: 30 }),
        async (steps) => {
          const { clock, publisher, taker } = setUp();
          const last = new Map<string, string>();
          let fails = false;
          taker.answer = async () => {
            await Promise.resolve();
            if (fails) {
              throw new TransientError("busy");
            }
          };
          const stop = new AbortController();
          const run = publisher.run(taker.publish, stop.signal);
          for (const [index, [slot, failing]] of steps.entries()) {
            fails = failing;
            publisher.put(message(slot, `${slot}${index}`));
            last.set(slot, `${slot}${index}`);
            await clock.advance(index % 3);
          }
          fails = false;
          await clock.advance(60_000);
          for (const [slot, payload] of last) {
            expect(taker.taken.findLast((one) => one.startsWith(slot))).toBe(payload);
          }
          stop.abort();
          await run;
        },
      ),
      { numRuns: runs(50) },
    );
  });
});
