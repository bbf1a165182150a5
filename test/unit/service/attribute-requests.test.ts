import { describe, expect, test } from "bun:test";
import { TransientError } from "../../../src/sdk/errors.ts";
import { AttributeRequests } from "../../../src/service/attribute-requests.ts";
import { Claims } from "../../../src/service/claims.ts";
import { Downlinks } from "../../../src/service/downlinks.ts";
import { PlatformLink } from "../../../src/service/platform-link.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

const RESPONSES = "v1/gateway/attributes/response";
const { signal } = new AbortController();

interface Message {
  readonly topic: string;
  readonly payload: string;
}

describe("AttributeRequests", () => {
  function setUp(
    answer: (request: {
      readonly id: number;
      readonly keys: readonly string[];
    }) => string | undefined,
  ) {
    const clock = new FakeClock();
    const sent: Message[] = [];
    const downlinks = new Downlinks(memoryLog().log);
    const publish = (topic: string, payload: string): Promise<void> => {
      sent.push({ topic, payload });
      const reply = answer(JSON.parse(payload));
      if (reply !== undefined) {
        downlinks.receive(RESPONSES, reply);
      }
      return Promise.resolve();
    };
    const requests = new AttributeRequests(clock, { publish }, downlinks);
    return { clock, sent, requests };
  }

  test("asks for each scope by name and understands all three forms of the answer", async () => {
    const { sent, requests } = setUp(({ id, keys }) => {
      const found = keys.includes("fw") ? ',"value":9007199254740993' : ',"values":{"a":1,"b":2.0}';
      return `{"id":${id},"device":"A"${keys.includes("none") ? "" : found}}`;
    });
    const one = await requests.request("A", { shared: ["fw"] }, signal);
    expect(one.shared["fw"]).toBe(9_007_199_254_740_993n);
    const several = await requests.request("A", { client: ["a", "b"], shared: ["none"] }, signal);
    expect(several.client["a"]).toBe(1);
    expect(several.shared).toEqual({});
    expect(sent.map(({ payload }) => JSON.parse(payload).client)).toEqual([false, true, false]);
  });

  test("gives up after 20 s, and when the platform is away", async () => {
    const silent = setUp(() => undefined);
    const asked = silent.requests.request("A", { shared: ["fw"] }, signal);
    asked.catch(() => undefined);
    await silent.clock.advance(20_000);
    await expect(asked).rejects.toThrow(TransientError);
    const away = new AttributeRequests(
      new FakeClock(),
      { publish: () => Promise.reject(new TransientError("not connected")) },
      new Downlinks(memoryLog().log),
    );
    await expect(away.request("A", { shared: ["fw"] }, signal)).rejects.toThrow("not connected");
  });
});

describe("Claims", () => {
  test("are kept while the platform is away and sent once when it is back", async () => {
    const sent: Message[] = [];
    const platform = new PlatformLink();
    const claims = new Claims(
      {
        publish: (topic, payload) => {
          sent.push({ topic, payload });
          return Promise.resolve();
        },
      },
      platform,
    );
    await claims.claim("Pump 1", { secretKey: "old", durationMs: 1000 });
    await claims.claim("Pump 1", { secretKey: "s", durationMs: 60_000 });
    expect(sent).toEqual([]);
    platform.update(true);
    await Promise.resolve();
    platform.update(false);
    platform.update(true);
    await claims.claim("Pump 2", { secretKey: "t", durationMs: 1 });
    expect(sent.map(({ payload }) => payload)).toEqual([
      '{"Pump 1":{"secretKey":"s","durationMs":60000}}',
      '{"Pump 2":{"secretKey":"t","durationMs":1}}',
    ]);
    expect(sent[0]?.topic).toBe("v1/gateway/claim");
  });
});
