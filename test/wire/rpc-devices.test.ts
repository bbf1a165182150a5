// Calls to devices, as the platform makes them and as it gets the answers.
import { describe, expect, test } from "bun:test";
import type { ConnectorHost } from "../../src/sdk/connector.ts";
import { RpcError } from "../../src/sdk/errors.ts";
import type { RpcRequest } from "../../src/sdk/model.ts";
import { GatewayRig, plant } from "../support/gateway-rig.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;

/** Resolves when the signal aborts, by rejecting with its reason. */
async function untilAborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return await promise;
}

describe("a call to a device", () => {
  test("gets what the connector returns, as an object, under QoS 1, with id 0 and exact numbers", async () => {
    const requests: RpcRequest[] = [];
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1"],
        handlers: {
          handleRpc: async (request) => {
            requests.push(request);
            return request.method === "nothing" ? undefined : request.params;
          },
        },
      }),
    ]);
    await rig.announced("Pump 1");
    const published: string[] = [];
    rig.server.onPublish(({ topic, text, qos }) => {
      if (topic === "v1/gateway/rpc") {
        published.push(`${qos} ${text}`);
      }
    });
    expect(await rig.server.rpc("Pump 1", "echo", 9_007_199_254_740_993n)).toBe("9007199254740993");
    expect(await rig.server.rpc("Pump 1", "nothing", null)).toBe('{"success":true}');
    for (const value of [0, false, null, "text", [1], { result: { value: 7 } }]) {
      expect(await rig.call("Pump 1", "echo", value)).toEqual(value);
    }
    expect(requests[0]).toMatchObject({
      deviceName: "Pump 1",
      id: 0,
      method: "echo",
      params: 9_007_199_254_740_993n,
    });
    expect(requests[0]?.timeoutMs).toBeGreaterThan(9000);
    expect(published[0]).toBe('1 {"device":"Pump 1","id":0,"data":9007199254740993}');
  });

  test("gets the code of an RpcError, 500 for anything else, and one for an answer that is no JSON", async () => {
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1"],
        handlers: {
          handleRpc: async ({ method }) => {
            if (method === "refuse") {
              throw new RpcError("not while it runs", 409);
            }
            if (method === "break") {
              throw new Error('wire "7" is cut');
            }
            // A connector in JavaScript may return anything.
            return (() => 1) as never;
          },
        },
      }),
    ]);
    await rig.announced("Pump 1");
    expect(await rig.call("Pump 1", "refuse", {})).toEqual({
      error: "not while it runs",
      code: 409,
      success: false,
    });
    expect(await rig.call("Pump 1", "break", {})).toEqual({
      error: 'wire "7" is cut',
      code: 500,
      success: false,
    });
    expect(await rig.call("Pump 1", "odd", {})).toMatchObject({ code: 500, success: false });
    const line = await rig.logged("A call to a connector failed");
    expect(line.fields).toMatchObject({ connector: "Plant", device: "Pump 1", method: "break" });
  });

  test("is answered at once when the connector takes no calls, and with 404 when there is no such device", async () => {
    let host: ConnectorHost | undefined;
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1"],
        created: (made) => {
          host = made;
        },
      }),
    ]);
    await rig.announced("Pump 1");
    expect(await rig.call("Pump 1", "m", {})).toEqual({
      error: "RPC not supported by connector",
      code: 405,
      success: false,
    });
    // A question about a device opens it on the platform, though nobody here has it.
    await host?.attributes.request("Ghost", { shared: ["a"] }, never);
    expect(await rig.call("Ghost", "m", { timeout: 1 })).toEqual({
      error: 'Device "Ghost" is not connected to the gateway',
      code: 404,
      success: false,
    });
  });

  test("waits for a device that is coming", async () => {
    let host: ConnectorHost | undefined;
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1"],
        handlers: { handleRpc: async () => "there" },
        created: (made) => {
          host = made;
        },
      }),
    ]);
    await rig.announced("Pump 1");
    await host?.attributes.request("Pump 2", { shared: ["a"] }, never);
    const answer = rig.call("Pump 2", "m", {});
    await until("delivered", () => rig.gateway.rpc.deliveries === 1);
    await host?.devices.connect("Pump 2", "machine");
    expect(await answer).toBe("there");
  });

  test("times out by its own time, by the connector's, and the late result is ignored", async () => {
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1", "Pump 2"],
        handlers: {
          handleRpc: async ({ deviceName }, signal) => {
            await untilAborted(signal).catch(() => undefined);
            return `late ${deviceName}`;
          },
          rpcTimeoutMs: () => 300,
        },
      }),
    ]);
    await rig.announced("Pump 1", "Pump 2");
    const timeout = { error: "Request timeout", code: 408, success: false };
    expect(await rig.call("Pump 1", "m", { timeout: 0.2 })).toEqual(timeout);
    expect(await rig.call("Pump 2", "m", {})).toEqual(timeout);
    await until("acknowledged", () => rig.gateway.rpc.sent === 2);
    expect(rig.gateway.rpc).toMatchObject({ executions: 2, timedOut: 2 });
  });

  test("of one device waits for the one before, of another device does not", async () => {
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Slow", "Fast"],
        handlers: {
          handleRpc: async ({ deviceName, method }) => {
            order.push(`${deviceName} ${method} begins`);
            if (deviceName === "Slow" && method === "1") {
              await gate.promise;
            }
            order.push(`${deviceName} ${method} ends`);
          },
        },
      }),
    ]);
    await rig.announced("Slow", "Fast");
    const slow = [rig.call("Slow", "1", {}), rig.call("Slow", "2", {})];
    await until("both are here", () => rig.gateway.rpc.deliveries === 2);
    await rig.call("Fast", "1", {});
    gate.resolve();
    await Promise.all(slow);
    expect(order.map((line) => line.replace("Fast 1", "F").replace("Slow ", "S"))).toEqual([
      "S1 begins",
      "F begins",
      "F ends",
      "S1 ends",
      "S2 begins",
      "S2 ends",
    ]);
  });

  test("too many of them for one device are refused, and the others are answered", async () => {
    const gate = Promise.withResolvers<void>();
    await using rig = await GatewayRig.open([
      plant({ devices: ["Pump 1"], handlers: { handleRpc: async () => await gate.promise } }),
    ]);
    await rig.announced("Pump 1");
    const answers = Array.from({ length: 140 }, (_, index) => rig.call("Pump 1", "m", { index }));
    await until("all are here", () => rig.gateway.rpc.deliveries === 140);
    gate.resolve();
    const codes = (await Promise.all(answers)).map((answer) =>
      JSON.stringify(answer).includes("429") ? "refused" : "done",
    );
    expect(codes.filter((code) => code === "refused").length).toBe(140 - 129);
    expect(codes.slice(0, 129).every((code) => code === "done")).toBe(true);
  });

  test("whose answer is too large for the platform is told so", async () => {
    await using rig = await GatewayRig.open([
      plant({ devices: ["Pump 1"], handlers: { handleRpc: async () => "x".repeat(70_000) } }),
    ]);
    await rig.announced("Pump 1");
    expect(await rig.call("Pump 1", "read", {})).toMatchObject({ code: 413, success: false });
    expect(rig.server.sessions().length).toBe(1);
  });
});

describe("a call that is delivered again", () => {
  test("while it is at work is executed once, and each delivery gets the same answer", async () => {
    let executions = 0;
    const gate = Promise.withResolvers<void>();
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1"],
        handlers: {
          handleRpc: async () => {
            executions += 1;
            await gate.promise;
            return executions;
          },
        },
      }),
    ]);
    await rig.announced("Pump 1");
    const replies: string[] = [];
    rig.server.onPublish(({ topic, text }) => {
      if (topic === "v1/gateway/rpc") {
        replies.push(text);
      }
    });
    const answer = rig.call("Pump 1", "start", {});
    await until("delivered", () => rig.gateway.rpc.deliveries === 1);
    rig.server.kick("GW", 0x8b);
    await until("delivered again", () => rig.gateway.rpc.deliveries === 2);
    gate.resolve();
    expect(await answer).toBe(1);
    await until("answered twice", () => replies.length === 2);
    expect(new Set(replies)).toEqual(new Set(['{"device":"Pump 1","id":0,"data":1}']));
    expect(executions).toBe(1);
  });

  test("after its reply was lost with the link gets that reply", async () => {
    let executions = 0;
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1"],
        handlers: {
          handleRpc: async () => {
            executions += 1;
            return executions;
          },
        },
      }),
    ]);
    await rig.announced("Pump 1");
    rig.server.faults.publish({ action: "ignore" }, { topic: "v1/gateway/rpc", times: 1 });
    using _kick = rig.server.onPublish(({ topic }) => {
      if (topic === "v1/gateway/rpc" && rig.server.sessions()[0]?.connection === 1) {
        rig.server.kick("GW", 0x8b);
      }
    });
    expect(await rig.call("Pump 1", "start", {})).toBe(1);
    expect(executions).toBe(1);
    expect(rig.gateway.rpc).toMatchObject({ deliveries: 2, executions: 1, unacknowledged: 1 });
  });

  test("is not answered twice when only the PUBACK of its reply was lost", async () => {
    await using rig = await GatewayRig.open([
      plant({ devices: ["Pump 1"], handlers: { handleRpc: async () => "done" } }),
    ]);
    await rig.announced("Pump 1");
    let replies = 0;
    rig.server.onPublish(({ topic }) => {
      replies += topic === "v1/gateway/rpc" ? 1 : 0;
    });
    rig.server.faults.publish({ action: "cut" }, { topic: "v1/gateway/rpc", times: 1 });
    expect(await rig.call("Pump 1", "start", {})).toBe("done");
    await until("reconnected", () => (rig.server.sessions()[0]?.connection ?? 0) > 1);
    await rig.announced("Pump 1");
    expect(await rig.call("Pump 1", "stop", {})).toBe("done");
    expect(replies).toBe(2);
  });
});

describe("a reply", () => {
  test("that the platform has no capacity for is sent again", async () => {
    await using rig = await GatewayRig.open([
      plant({ devices: ["Pump 1"], handlers: { handleRpc: async () => "done" } }),
    ]);
    await rig.announced("Pump 1");
    rig.server.faults.publish(
      { action: "refuse", code: 0x97 },
      { topic: "v1/gateway/rpc", times: 2 },
    );
    expect(await rig.call("Pump 1", "start", {})).toBe("done");
    expect(rig.gateway.rpc).toMatchObject({ executions: 1, refused: 0 });
  });

  test("that the platform refuses for good is dropped, counted and logged", async () => {
    await using rig = await GatewayRig.open([
      plant({ devices: ["Pump 1"], handlers: { handleRpc: async () => "done" } }),
    ]);
    await rig.announced("Pump 1");
    rig.server.faults.publish(
      { action: "refuse", code: 0x99 },
      { topic: "v1/gateway/rpc", times: 1 },
    );
    await rig.server.rpc("Pump 1", "start", {}, { oneWay: true });
    await rig.logged("The platform refuses a reply");
    expect(rig.gateway.rpc).toMatchObject({ refused: 1, sent: 0 });
  });

  test("that is ready while the platform is away is sent when it is back", async () => {
    const gate = Promise.withResolvers<void>();
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1"],
        handlers: {
          handleRpc: async () => {
            await gate.promise;
            return "done";
          },
        },
      }),
    ]);
    await rig.announced("Pump 1");
    const answer = rig.call("Pump 1", "start", {});
    await until("delivered", () => rig.gateway.rpc.deliveries === 1);
    rig.server.faults.refuseTcp = true;
    rig.server.kick("GW", 0x8b);
    await rig.disconnected();
    gate.resolve();
    rig.server.faults.refuseTcp = false;
    expect(await answer).toBe("done");
  });

  test("that can only leave after its deadline is never sent, and counted", async () => {
    const gate = Promise.withResolvers<void>();
    await using rig = await GatewayRig.open([
      plant({
        devices: ["Pump 1"],
        handlers: {
          handleRpc: async () => {
            await gate.promise;
            return "done";
          },
        },
      }),
    ]);
    await rig.announced("Pump 1");
    let replies = 0;
    rig.server.onPublish(({ topic }) => {
      replies += topic === "v1/gateway/rpc" ? 1 : 0;
    });
    await rig.server.rpc("Pump 1", "start", { timeout: 0.4 }, { oneWay: true });
    await until("delivered", () => rig.gateway.rpc.deliveries === 1);
    rig.server.faults.refuseTcp = true;
    rig.server.kick("GW", 0x8b);
    await rig.disconnected();
    gate.resolve();
    await rig.logged("A reply could not be sent in time");
    rig.server.faults.refuseTcp = false;
    await rig.announced("Pump 1");
    expect(rig.gateway.rpc).toMatchObject({ executions: 1, late: 1, sent: 0 });
    expect(replies).toBe(0);
  });
});
