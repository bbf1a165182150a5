// Calls of the platform to extensions of the compiled program: every way in which one can end.
import { expect, test } from "bun:test";
import { writeExtensions } from "../support/extension-files.ts";
import { ExtensionGateway } from "../support/extension-gateway.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 120_000;

/** One method a row of the table of answers. */
const CALLS = `import { defineConnector, RpcError } from "tbgw/sdk";
import * as v from "valibot";
export default defineConnector({
  type: "calls", schema: v.looseObject({}),
  create: (_config, host) => {
    const answer = async ({ method }) => {
      if (method === "value") return { a: [1, null] };
      if (method === "null") return null;
      if (method === "zero") return 0;
      if (method === "no") return false;
      if (method === "nothing") return undefined;
      if (method === "refuse") throw new RpcError("not today", 423);
      if (method === "fail") throw new Error("broken");
      return await new Promise(() => undefined);
    };
    return {
      async run(signal) {
        await host.devices.connect("Called");
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      },
      handleRpc: answer,
      rpcTimeoutMs: ({ method }) => (method === "hang" ? 300 : undefined),
      async handleConnectorRpc({ method, params }, signal) {
        // A question about a device opens it on the platform, though nobody here has it.
        if (method === "ask") await host.attributes.request("Ghost", { shared: ["a"] }, signal);
        return { method, params };
      },
      async [Symbol.asyncDispose]() {},
    };
  },
});
`;
/** Takes no calls at all. */
const MUTE = `import { defineConnector } from "tbgw/sdk";
import * as v from "valibot";
export default defineConnector({
  type: "mute", schema: v.looseObject({}),
  create: (_config, host) => ({
    async run(signal) {
      await host.devices.connect("Mute");
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },
    async [Symbol.asyncDispose]() {},
  }),
});
`;
const METHODS = `import { defineRpc, RpcError } from "tbgw/sdk";
import * as v from "valibot";
const shape = v.object({ n: v.optional(v.number(), 1) });
export const double = defineRpc({ name: "double", params: shape, run: async ({ n }) => n * 2 });
export const ping = defineRpc({ name: "ping", params: v.unknown(), run: async () => "mine" });
`;

test(
  "every way a handler can end has its one answer; files add methods of the gateway",
  async () => {
    await using gateway = await ExtensionGateway.create(
      [
        { type: "calls", name: "Calls", file: { more: 1 } },
        { type: "mute", name: "Mute", file: {} },
      ],
      {
        "calls/calls.ts": CALLS,
        "mute/mute.ts": MUTE,
        "rpc/methods.ts": METHODS,
        "rpc/broken.ts": "}",
      },
    );
    await gateway.start();
    for (const device of ["Called", "Mute"]) {
      await gateway.platform.until(() => gateway.platform.device(device) !== undefined, 20_000);
    }
    const call = async (device: string, method: string, params: object | null = null) =>
      JSON.parse(await gateway.platform.rpc(device, method, params as never));
    const rows: readonly (readonly [string, unknown])[] = [
      ["value", { a: [1, null] }],
      ["null", null],
      ["zero", 0],
      ["no", false],
      ["nothing", { success: true }],
      ["refuse", { error: "not today", code: 423, success: false }],
      ["fail", { error: "broken", code: 500, success: false }],
      ["hang", { error: "Request timeout", code: 408, success: false }],
    ];
    for (const [method, answer] of rows) {
      expect(await call("Called", method), method).toEqual(answer);
    }
    const refusal = { error: "RPC not supported by connector", code: 405, success: false };
    expect(await call("Mute", "anything")).toEqual(refusal);
    expect(await call("gateway", "mute_look")).toEqual(refusal);
    expect(await call("gateway", "calls_ask")).toMatchObject({ method: "ask" });
    expect(await call("Ghost", "anything", { timeout: 1 })).toEqual({
      error: 'Device "Ghost" is not connected to the gateway',
      code: 404,
      success: false,
    });
    expect(await call("gateway", "gateway_treble")).toEqual({
      error: "Method not found",
      code: 404,
    });
    expect(await call("gateway", "nobody_look")).toEqual({
      error: "nobody - connector not found in available connectors.",
      code: 404,
    });
    expect(await call("gateway", "calls_look", { a: 1 })).toEqual({
      method: "look",
      params: { a: 1 },
    });
    expect(await call("gateway", "gateway_double", { n: 21 })).toEqual(42);
    expect(await call("gateway", "gateway_double")).toEqual(2);
    expect(await call("gateway", "gateway_double", { n: "x" })).toMatchObject({ code: 400 });
    expect(await call("gateway", "gateway_ping")).toEqual({ code: 200, resp: "pong" });
    writeExtensions(gateway.root, { "rpc/methods.ts": METHODS.replace("n * 2", "n * 3") });
    await until(
      "the changed method answers",
      async () => (await call("gateway", "gateway_double")) === 3,
    );
    expect(gateway.process.output).toContain("is not replaced");
  },
  TIMEOUT_MS,
);
