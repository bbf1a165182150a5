import { describe, expect, test } from "bun:test";
import { Heart, HeartMonitor, heartbeatMemory } from "../../../src/delivery/heartbeat.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** Both sides with a clock of their own, as two threads have it. */
function setUp() {
  const memory = heartbeatMemory();
  const collection = new FakeClock();
  const delivery = new FakeClock();
  const hangs: string[] = [];
  const heart = new Heart(memory, collection);
  const monitor = new HeartMonitor(memory, delivery, (at) => hangs.push(at));
  return { collection, delivery, hangs, heart, monitor };
}

describe("HeartMonitor", () => {
  test("stays silent while the heart beats", async () => {
    const { collection, delivery, hangs } = setUp();
    for (let second = 0; second < 300; second += 5) {
      await collection.advance(5000);
      await delivery.advance(5000);
    }
    expect(hangs).toEqual([]);
  });

  test("names who was at work when the heart has stopped for a minute, once", async () => {
    const { collection, delivery, hangs, heart } = setUp();
    await collection.advance(3000);
    heart.at("Leitstand Süd");
    await delivery.advance(59_000);
    expect(hangs).toEqual([]);
    await delivery.advance(60_000);
    expect(hangs).toEqual(["Leitstand Süd"]);
  });

  test("a beat in time starts the minute again", async () => {
    const { collection, delivery, hangs } = setUp();
    await delivery.advance(50_000);
    await collection.advance(1000);
    await delivery.advance(50_000);
    expect(hangs).toEqual([]);
  });
});
