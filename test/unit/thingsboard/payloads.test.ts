import { expect, test } from "bun:test";
import {
  connectPayload,
  disconnectPayload,
  gatewayAttributes,
  gatewayTelemetry,
  ownAttributes,
  ownTelemetry,
} from "../../../src/thingsboard/payloads.ts";

test("gatewayTelemetry() puts each device's entries into an array, text untouched", () => {
  const parts = [
    { name: '"A"', jsons: ['{"ts":1,"values":{"x":25.0}}', '{"ts":2,"values":{"x":1}}'] },
    { name: '"Ü \\"B\\""', jsons: ['{"ts":1,"values":{}}'] },
  ];
  expect(gatewayTelemetry(parts)).toBe(
    '{"A":[{"ts":1,"values":{"x":25.0}},{"ts":2,"values":{"x":1}}],"Ü \\"B\\"":[{"ts":1,"values":{}}]}',
  );
});

test("gatewayAttributes() joins the objects of a device, the last of equal keys counting", () => {
  const text = gatewayAttributes([
    { name: '"A"', jsons: ['{"a":1}', "{}", '{"b":2,"a":3}'] },
    { name: '"B"', jsons: ["{}"] },
  ]);
  expect(text).toBe('{"A":{"a":1,"b":2,"a":3},"B":{}}');
  expect(JSON.parse(text).A).toEqual({ a: 3, b: 2 });
});

test("own payloads are an array of entries and one object", () => {
  expect(ownTelemetry(['{"ts":1,"values":{"a":1}}', '{"ts":2,"values":{"a":2}}'])).toBe(
    '[{"ts":1,"values":{"a":1}},{"ts":2,"values":{"a":2}}]',
  );
  expect(ownAttributes(['{"a":1}', '{"b":2}'])).toBe('{"a":1,"b":2}');
});

test("connectPayload() leaves out a type that is not known", () => {
  expect(connectPayload("A", "pump")).toBe('{"device":"A","type":"pump"}');
  expect(connectPayload("A", "")).toBe('{"device":"A"}');
  expect(disconnectPayload('A"')).toBe('{"device":"A\\""}');
});
