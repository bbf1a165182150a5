// Connectors in threads of their own, in the compiled program.
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { AedesBroker } from "../support/aedes.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { writeExtension } from "../support/plant-file.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;

const DIGITS = `return {
        async run(signal) {
          const values = { level: new sdk.Float(25), count: 2n ** 53n + 1n, far: 2n ** 70n, list: [new sdk.Float(1), 2n ** 60n] };
          await host.uplink.accept({ deviceName: config.name, telemetry: [{ values }] }, signal);
          await untilAborted(signal);
        },
        handleRpc: async ({ params }) => ({ got: params, from: config.name }),
        async [Symbol.asyncDispose]() {},
      };`;

const CONVERTER = `import { defineUplink } from "tbgw/sdk";
import * as v from "valibot";
export default defineUplink({
  name: "LengthConverter",
  type: "mqtt",
  schema: v.looseObject({}),
  create: () => ({ payload, topic }) => ({ deviceName: topic, telemetry: [{ values: { length: payload.length } }] }),
});
`;

/** Two connectors of one file, one beside the others and one in a thread of its own, which the broker's connector has too. */
function configure(configDir: string): void {
  const extensions = join(configDir, "extensions");
  writeExtension(extensions, "digits", DIGITS);
  mkdirSync(join(extensions, "mqtt"));
  writeFileSync(join(extensions, "mqtt/length-converter.ts"), CONVERTER);
  writeFileSync(join(configDir, "digits.json"), '{"a":1}');
  const mainFile = join(configDir, "tb_gateway.json");
  const main: { readonly connectors: readonly object[] } = JSON.parse(
    readFileSync(mainFile, "utf8"),
  );
  const digits = { type: "digits", configuration: "digits.json" };
  const isolation = "worker";
  const connectors = [
    ...main.connectors.map((broker) => ({ ...broker, isolation })),
    { ...digits, name: "Beside" },
    { ...digits, name: "Apart", isolation },
  ];
  writeFileSync(mainFile, JSON.stringify({ ...main, connectors }));
}

test(
  "what a connector sends arrives digit by digit from its own thread, and calls and converters work there",
  async () => {
    await using stack = new AsyncDisposableStack();
    const platform = stack.use(await ThingsBoardDouble.listen({ clock: systemClock }));
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
    const broker = stack.use(await AedesBroker.listen());
    const converter = { type: "custom", extension: "LengthConverter" };
    const gateway = stack.use(
      await GatewayProcess.create({
        platformPort: platform.port,
        brokerPort: broker.port,
        mqtt: { mapping: [{ topicFilter: "apart/#", converter }] },
      }),
    );
    configure(join(gateway.dir, "config"));
    let subscriptions = 0;
    broker.aedes.on("subscribe", () => {
      subscriptions += 1;
    });
    gateway.start();
    const sent = (device: string): readonly string[] =>
      ["level", "count", "far", "list"].map(
        (key) => platform.series(device, key).at(-1)?.text ?? "",
      );
    await until("both have sent", () =>
      ["Beside", "Apart"].every((device) => sent(device).every((text) => text !== "")),
    );
    expect(sent("Apart").slice(0, 2)).toEqual(["25.0", "9007199254740993"]);
    expect(sent("Apart")).toEqual(sent("Beside"));

    const answer: unknown = JSON.parse(await platform.rpc("Apart", "any", { n: 1.5, s: "x" }));
    expect(answer).toEqual({ got: { n: 1.5, s: "x" }, from: "Apart" });

    await until("the connector in its thread listens", () => subscriptions > 0);
    await using client = {
      mqtt: await connectAsync(`mqtt://127.0.0.1:${broker.port}`),
      [Symbol.asyncDispose]: async () => await client.mqtt.endAsync(),
    };
    await client.mqtt.publishAsync("apart/1", "12345", { qos: 1 });
    await until(
      "the converter's value",
      () => platform.series("apart/1", "length").at(-1)?.text === "5",
    );
    expect(await gateway.stop()).toBe(0);
  },
  TIMEOUT_MS,
);
