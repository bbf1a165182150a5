import { describe, expect, test } from "bun:test";
import type { Json } from "../../../src/sdk/model.ts";
import { unsentError } from "../../../src/sdk/unsent.ts";
import { PlatformLink } from "../../../src/service/platform-link.ts";
import { type CallRequest, RpcCalls } from "../../../src/service/rpc-calls.ts";
import { RpcReplies } from "../../../src/service/rpc-replies.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

function setUp() {
  const clock = new FakeClock();
  const log = memoryLog();
  const platform = new PlatformLink();
  const sent: string[] = [];
  const failures: Error[] = [];
  const publisher = {
    publish: async (_topic: string, payload: string): Promise<void> => {
      const failure = failures.shift();
      if (failure !== undefined) {
        throw failure;
      }
      sent.push(payload);
    },
  };
  const replies = new RpcReplies({ clock, log: log.log, platform, publisher });
  const calls = new RpcCalls(clock, replies);
  platform.update(true);
  return { clock, log, platform, sent, failures, replies, calls };
}

function request(id: number, extra: Partial<CallRequest> = {}): CallRequest {
  return {
    device: "A",
    id,
    method: "m",
    params: null,
    timeoutMs: 10_000,
    target: { topic: "t", payload: (data) => `${id} ${data}` },
    ...extra,
  };
}

const TIMEOUT = '{"error":"Request timeout","code":408,"success":false}';

describe("RpcCalls", () => {
  test("repetitions are told from other calls by device, id, method and params", async () => {
    const { clock, calls, sent } = setUp();
    let executions = 0;
    const execute = async (): Promise<Json> => {
      executions += 1;
      return executions;
    };
    calls.receive(request(0), execute);
    calls.receive(request(0), execute);
    calls.receive(request(0, { device: "B" }), execute);
    calls.receive(request(0, { method: "n" }), execute);
    calls.receive(request(0, { params: { a: 1n } }), execute);
    calls.receive(request(1), execute);
    await clock.advance(0);
    calls.receive(request(0), execute);
    await clock.advance(0);
    expect(executions).toBe(5);
    expect(sent).toEqual(["0 1", "0 1", "0 2", "0 3", "0 4", "1 5", "0 1"]);
  });

  test("the time-out is answered a little early, aborts the call, and the late answer counts for nothing", async () => {
    const { clock, calls, sent } = setUp();
    const late = Promise.withResolvers<Json>();
    let isAborted = false;
    calls.receive(request(1), ({ signal }) => {
      signal.addEventListener("abort", () => {
        isAborted = true;
      });
      return late.promise;
    });
    await clock.advance(9700);
    expect([sent.length, isAborted]).toEqual([0, false]);
    await clock.advance(50);
    expect(isAborted).toBe(true);
    late.resolve("late");
    await clock.advance(1000);
    expect(sent).toEqual([`1 ${TIMEOUT}`]);
  });

  test("a short call is remembered for as long as the platform waits, a forgotten one is a call like any other", async () => {
    const { clock, calls, sent } = setUp();
    let executions = 0;
    const execute = async (): Promise<Json> => {
      executions += 1;
      return executions;
    };
    calls.receive(request(1, { timeoutMs: 500 }), execute);
    await clock.advance(9000);
    calls.receive(request(1, { timeoutMs: 500 }), execute);
    await clock.advance(1000);
    calls.receive(request(1, { timeoutMs: 500 }), execute);
    await clock.advance(0);
    expect(sent).toEqual(["1 1", "1 1", "1 2"]);
  });

  test("the end of the gateway answers what is at work", async () => {
    const { clock, calls, sent } = setUp();
    calls.receive(request(1), () => Promise.withResolvers<Json>().promise);
    calls.end("The gateway is stopping");
    await clock.advance(0);
    expect(sent).toEqual(['1 {"error":"The gateway is stopping","code":503,"success":false}']);
    calls[Symbol.dispose]();
    expect(clock.waiting).toBe(0);
  });

  test("more than it may hold are refused with 429", async () => {
    const { clock, calls, sent } = setUp();
    const never = (): Promise<Json> => Promise.withResolvers<Json>().promise;
    for (let id = 0; id < 10_000; id += 1) {
      calls.receive(request(id), never);
    }
    calls.receive(request(10_000), never);
    await clock.advance(0);
    expect(sent).toEqual([
      '10000 {"error":"Too many calls wait for an answer","code":429,"success":false}',
    ]);
    expect(calls.counts).toMatchObject({ executions: 10_000, overflow: 1 });
  });

  test("a deleted device is answered no more", async () => {
    const { clock, calls, sent } = setUp();
    const gate = Promise.withResolvers<Json>();
    calls.receive(request(1), () => gate.promise);
    calls.forget("A");
    gate.resolve("there");
    await clock.advance(0);
    expect(sent).toEqual([]);
  });
});

describe("RpcReplies", () => {
  test("keep what cannot leave until its deadline, in order, and no longer", async () => {
    const { clock, log, platform, calls, replies, sent } = setUp();
    platform.update(false);
    const execute = async (): Promise<Json> => "x";
    calls.receive(request(1, { timeoutMs: 1000 }), execute);
    calls.receive(request(2), execute);
    calls.receive(request(3), execute);
    await clock.advance(1300);
    expect(log.messages("warn")).toEqual(["A reply could not be sent in time"]);
    platform.update(true);
    await clock.advance(0);
    expect(sent).toEqual(['2 "x"', '3 "x"']);
    expect(replies.counts).toMatchObject({ late: 1, sent: 2 });
  });

  test("send again what has not left, and not what may have left", async () => {
    const { clock, calls, failures, replies, sent } = setUp();
    failures.push(unsentError("too much waits"), new Error("lost before the PUBACK"));
    calls.receive(request(1), async () => "x");
    await clock.advance(0);
    calls.receive(request(2), async () => "x");
    await clock.advance(1000);
    expect(sent).toEqual(['2 "x"']);
    expect(replies.counts).toMatchObject({ unacknowledged: 1, sent: 1 });
  });

  test("are waited for at a stop, while the platform is there", async () => {
    const { clock, platform, replies } = setUp();
    await replies.settled(1000);
    platform.update(false);
    replies.send({
      topic: "t",
      payload: () => "",
      length: 0,
      deadlineMs: 10_000,
      about: {},
      tooLarge: () => undefined,
    });
    await replies.settled(1000);
    expect(clock.waiting).toBe(1); // The reply's own deadline.
    replies[Symbol.dispose]();
    expect(clock.waiting).toBe(0);
  });
});
