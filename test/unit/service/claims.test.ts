import { describe, expect, test } from "bun:test";
import { RejectedError, TransientError } from "../../../src/sdk/errors.ts";
import { Announced } from "../../../src/service/announced.ts";
import { Claims } from "../../../src/service/claims.ts";
import { PlatformLink } from "../../../src/service/platform-link.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

function setUp() {
  const clock = new FakeClock();
  const log = memoryLog();
  const platform = new PlatformLink();
  const announced = new Announced(platform);
  const sent: string[] = [];
  const failures: Error[] = [];
  const claims = new Claims({
    clock,
    log: log.log,
    platform,
    announced,
    publisher: {
      publish: async (_topic, payload) => {
        sent.push(payload);
        const failure = failures.shift();
        if (failure !== undefined) {
          throw failure;
        }
      },
    },
    devices: {
      platformName: (name) => (name === "Pump 2" ? "Hall pump" : name),
      get: () => ({ connected: true }),
    },
  });
  const connect = (...names: readonly string[]): void => {
    platform.update(true);
    for (const name of names) {
      announced.add(name);
    }
  };
  return { clock, log, platform, claims, sent, failures, connect };
}

describe("Claims", () => {
  test("are kept while the platform is away and sent once when it is back, for the time that is left", async () => {
    const { clock, platform, claims, sent, connect } = setUp();
    await claims.claim("Pump 1", { secretKey: "old", durationMs: 1000 });
    await claims.claim("Pump 1", { secretKey: "s", durationMs: 60_000 });
    await clock.advance(10_000);
    expect(sent).toEqual([]);
    connect("Pump 1");
    await clock.advance(0);
    platform.update(false);
    connect("Pump 1", "Pump 2");
    await claims.claim("Pump 2", { secretKey: "t", durationMs: 1 });
    await clock.advance(0);
    expect(sent).toEqual([
      '{"Pump 1":{"secretKey":"s","durationMs":50000}}',
      '{"Hall pump":{"secretKey":"t","durationMs":1}}',
    ]);
  });

  test("wait until the device is announced", async () => {
    const { clock, claims, sent, connect } = setUp();
    connect("Pump 1");
    await claims.claim("Pump 3", { secretKey: "s", durationMs: 60_000 });
    await clock.advance(0);
    expect(sent).toEqual([]);
    connect("Pump 3");
    await clock.advance(0);
    expect(sent.length).toBe(1);
  });

  test("are sent again after a failure, given up when refused or over", async () => {
    const { clock, log, claims, sent, failures, connect } = setUp();
    await claims.claim("Pump 1", { secretKey: "s", durationMs: 1000 });
    await clock.advance(1000);
    connect("Pump 1");
    await clock.advance(0);
    expect(sent).toEqual([]);
    failures.push(new TransientError("lost"), new RejectedError("never"));
    await claims.claim("Pump 1", { secretKey: "s", durationMs: 60_000 });
    await clock.advance(10_000);
    expect(sent.length).toBe(2);
    await clock.advance(60_000);
    expect(sent.length).toBe(2);
    expect(log.messages("warn").length).toBe(2);
  });
});
