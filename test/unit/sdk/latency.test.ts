import { describe, expect, test } from "bun:test";
import { hasLatencyDigits, latencyEntry, publishedNow } from "../../../src/sdk/latency.ts";

const RECEIVED_MS = 1_700_000_000_000;
const entry = latencyEntry({
  ts: 5,
  values: '{"a":25.0}',
  connector: 'Plant "1" €',
  receivedTs: RECEIVED_MS,
});

describe("publishedNow", () => {
  test("puts the time of publishing in, and nothing else changes, the length neither", () => {
    const published = publishedNow(entry, RECEIVED_MS + 1234);
    expect(published).toContain('"values":{"a":25.0}');
    expect(published).toHaveLength(entry.length);
    expect(JSON.parse(published)).toEqual({
      metadata: {
        connector: 'Plant "1" €',
        receivedTs: RECEIVED_MS,
        publishedTs: RECEIVED_MS + 1234,
      },
      ts: 5,
      values: { a: 25 },
    });
    expect(publishedNow(published, RECEIVED_MS + 9)).toBe(publishedNow(entry, RECEIVED_MS + 9));
  });

  test("an entry that is not asked to carry times stays as it is", () => {
    for (const json of ['{"ts":1,"values":{"metadata":1}}', '{"metadata":{"x":1}}', "{}", ""]) {
      expect(publishedNow(json, RECEIVED_MS)).toBe(json);
    }
  });

  test("a clock that is not set leaves the entry whole: all three times are there", () => {
    expect(publishedNow(entry, 0)).toBe(entry);
    expect(JSON.parse(entry)).toMatchObject({ metadata: { publishedTs: RECEIVED_MS } });
    expect(hasLatencyDigits(-1)).toBe(false);
    expect(hasLatencyDigits(RECEIVED_MS)).toBe(true);
  });
});
