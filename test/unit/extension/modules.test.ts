import { expect, test } from "bun:test";
import {
  defineConnector,
  defineDownlink,
  defineRpc,
  defineUplink,
  encodeJson,
  Float,
  template,
} from "tbgw/sdk";
import * as v from "valibot";

test("tbgw/sdk resolves inside the project and tags definitions", () => {
  const schema = v.looseObject({ gain: v.optional(v.number(), 1) });
  const uplink = defineUplink({
    name: "Gain",
    type: "mqtt",
    schema,
    create: (config) => (raw) => ({
      deviceName: raw.topic,
      telemetry: [{ values: { length: new Float(raw.payload.length * config.gain) } }],
    }),
  });
  expect(uplink).toMatchObject({ kind: "uplink", api: 1, name: "Gain" });
  const downlink = defineDownlink({
    name: "Text",
    type: "mqtt",
    schema,
    create:
      () =>
      ({ name }) =>
        name,
  });
  expect(downlink).toMatchObject({ kind: "downlink", api: 1 });
  const rpc = defineRpc({
    name: "ping",
    params: schema,
    run: async () => await Promise.resolve("pong"),
  });
  expect(rpc).toMatchObject({ kind: "rpc", api: 1 });
  const connector = defineConnector({
    type: "test",
    schema,
    create: () => ({
      run: async () => await Promise.resolve(),
      [Symbol.asyncDispose]: async () => await Promise.resolve(),
    }),
  });
  expect(connector).toMatchObject({ kind: "connector", api: 1 });
});

test("tbgw/sdk encodes exact numbers and fills templates", () => {
  expect(encodeJson({ a: new Float(25), b: 9_007_199_254_740_993n })).toBe(
    '{"a":25.0,"b":9007199254740993}',
  );
  expect(template("${deviceName}/set")({ deviceName: "Pump 1" })).toEqual({
    text: "Pump 1/set",
    missing: [],
  });
});
