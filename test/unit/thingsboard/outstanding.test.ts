import { beforeEach, expect, test } from "bun:test";
import { AckDeadline } from "../../../src/thingsboard/ack-deadline.ts";
import { type Delivery, Outstanding } from "../../../src/thingsboard/outstanding.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const T = "v1/gateway/telemetry";
let clock: FakeClock;
let deadline: AckDeadline;
let probes: number;
let outstanding: Outstanding;
let events: string[];

beforeEach(() => {
  clock = new FakeClock();
  deadline = new AckDeadline();
  probes = 0;
  events = [];
  outstanding = new Outstanding({
    clock,
    deadline,
    probe: () => {
      probes += 1;
    },
  });
});

function delivery(name: string): Delivery {
  return {
    acked: (code) => events.push(`${name} acked ${code}`),
    overdue: () => events.push(`${name} overdue`),
    lost: () => events.push(`${name} lost`),
  };
}

test("asks for a sign of life when the oldest publish is 10 s old, with one timer for all", async () => {
  outstanding.add(T, delivery("a"));
  outstanding.add(T, delivery("b"));
  expect(clock.waiting).toBe(1);
  await clock.advance(9999);
  expect(probes).toBe(0);
  await clock.advance(1);
  expect([probes, clock.waiting]).toEqual([1, 0]);
});

test("a PUBACK in time moves the deadline to the next oldest", async () => {
  const first = outstanding.add(T, delivery("a"));
  await clock.advance(100);
  first(0);
  await clock.advance(5900);
  outstanding.add(T, delivery("b"));
  await clock.advance(9999);
  expect(probes).toBe(0);
  await clock.advance(1);
  expect(probes).toBe(1);
});

test("alive() reports what is past its deadline, and a late PUBACK still counts", async () => {
  const first = outstanding.add(T, delivery("a"));
  await clock.advance(5000);
  outstanding.add(T, delivery("b"));
  await clock.advance(5000);
  outstanding.alive(10_000);
  expect(events).toEqual(["a overdue"]);
  expect(outstanding.gatewayOverdue).toBe(true);
  first(0x80);
  first(0);
  expect(events).toEqual(["a overdue", "a acked 128"]);
  expect([outstanding.count, outstanding.gatewayAcks, outstanding.gatewayOverdue]).toEqual([
    1,
    1,
    false,
  ]);
});

test("is clogged when eight publishes stay silent", async () => {
  for (let count = 0; count < 8; count += 1) {
    outstanding.add(T, delivery("x"));
  }
  await clock.advance(10_000);
  outstanding.alive(10_000);
  expect(outstanding.isClogged).toBe(true);
});

test("only data tells about the line: an announcement may take the server seconds", async () => {
  const connect = outstanding.add("v1/gateway/connect", delivery("c"));
  await clock.advance(9000);
  connect(0);
  expect(deadline.rttMs).toBeUndefined();
  const data = outstanding.add(T, delivery("d"));
  await clock.advance(30);
  data(0);
  expect(deadline.rttMs).toBe(30);
});

test("disposing reports every publish as lost, and stops the timer", () => {
  outstanding.add(T, delivery("a"));
  outstanding.add(T, delivery("b"));
  outstanding[Symbol.dispose]();
  outstanding[Symbol.dispose]();
  expect(events).toEqual(["a lost", "b lost"]);
  expect(clock.waiting).toBe(0);
});
