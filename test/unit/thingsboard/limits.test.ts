import { expect, test } from "bun:test";
import { parseRateLimit, parseSessionLimits } from "../../../src/thingsboard/limits.ts";

test("parseRateLimit() reads both separators and a trailing one, and takes nothing and zero as no limit", () => {
  expect(parseRateLimit("100:1;2000:60,")).toEqual([
    { capacity: 100, seconds: 1 },
    { capacity: 2000, seconds: 60 },
  ]);
  for (const text of ["", "0:0", "rubbish", "-1:5", null, 7, undefined]) {
    expect(parseRateLimit(text)).toEqual([]);
  }
});

test("parseSessionLimits() reads a gateway's answer with null limits", () => {
  const limits = parseSessionLimits(
    '{"maxPayloadSize":1000,"maxInflightMessages":10,"rateLimits":{"messages":null},"gatewayRateLimits":{"messages":"5:1"}}',
  );
  expect(limits).toMatchObject({
    maxPayloadSize: 1000,
    maxInflightMessages: 10,
    isGateway: true,
    own: { messages: [] },
    devices: { messages: [{ capacity: 5, seconds: 1 }], telemetryDataPoints: [] },
  });
});

test("parseSessionLimits() keeps the defaults for members of another type, and 0", () => {
  const limits = parseSessionLimits(
    '{"maxPayloadSize":0,"maxInflightMessages":"x","rateLimits":[]}',
  );
  expect(limits).toMatchObject({
    maxPayloadSize: 65_536,
    maxInflightMessages: 100,
    isGateway: false,
  });
});

test("parseSessionLimits() knows what is no answer", () => {
  for (const text of ['{"error":"timeout"}', "", "[]", "null", "7"]) {
    expect(parseSessionLimits(text)).toBeUndefined();
  }
});
