import { describe, expect, test } from "bun:test";
import { Notifier } from "../../../src/service/notifier.ts";
import type { GatewayStatus } from "../../../src/service/status.ts";
import { openSupervisor } from "../../../src/service/supervisor-link.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { until } from "../../support/until.ts";

/** As much of a status as the line for people needs. */
function status(delivery: GatewayStatus["delivery"]): GatewayStatus {
  const parts = { link: { state: "connected" }, connectors: [], store: { values: 7 }, delivery };
  // The notifier reads nothing else of it.
  return parts as unknown as GatewayStatus;
}

describe("Notifier", () => {
  test("feeds the watchdog three times in its period, and not while the delivery thread does not answer", async () => {
    const clock = new FakeClock();
    const sent: string[] = [];
    let answers: GatewayStatus["delivery"] = "answering";
    const env = { WATCHDOG_USEC: "90000000", WATCHDOG_PID: String(process.pid) };
    await using notifier = new Notifier({
      place: "/nowhere",
      env,
      clock,
      send: (_place, text) => sent.push(text),
    });
    notifier.ready(() => Promise.resolve(status(answers)), memoryLog().log);
    await until("it waits", () => clock.waiting === 1);
    expect(sent).toEqual([
      "READY=1\nSTATUS=The gateway is running",
      "WATCHDOG=1\nSTATUS=Platform connected, 0 of 0 connectors running, 7 values wait",
    ]);
    await clock.advance(30_000);
    await until("it waits again", () => clock.waiting === 1 && sent.length === 3);
    expect(sent[2]).toStartWith("WATCHDOG=1\n");
    answers = "not-answering";
    await clock.advance(30_000);
    await until("it waits again", () => clock.waiting === 1 && sent.length === 4);
    expect(sent[3]).toStartWith("STATUS=The disk or the uplink does not answer, ");
  });

  test("says RELOADING when the process starts itself again, STOPPING when it ends", async () => {
    for (const [again, text] of [
      [true, "RELOADING=1\nSTATUS=The gateway starts again"],
      [false, "STOPPING=1"],
    ] as const) {
      const sent: string[] = [];
      await using notifier = new Notifier({
        place: "/nowhere",
        env: {},
        clock: new FakeClock(),
        send: (_place, one) => sent.push(one),
      });
      notifier.stopping(again);
      expect(sent).toEqual([text]);
    }
  });

  test("a socket that nobody listens at is said once, and nothing else happens", async () => {
    const clock = new FakeClock();
    const { log, messages } = memoryLog();
    await using notifier = new Notifier({ place: "/nowhere/at/all", env: {}, clock });
    notifier.ready(() => Promise.resolve(status("answering")), log);
    await until("it waits", () => clock.waiting === 1);
    await clock.advance(60_000);
    await until("it waits again", () => clock.waiting === 1);
    expect(messages("warn")).toEqual(["Cannot tell the service manager how the gateway is"]);
  });

  test("without a socket in the environment there is nobody to tell", async () => {
    const clock = new FakeClock();
    await using link = await openSupervisor({ NOTIFY_SOCKET: "" }, clock);
    link.ready(() => Promise.reject(new Error("nobody asks")), memoryLog().log);
    expect(clock.waiting).toBe(0);
  });
});
