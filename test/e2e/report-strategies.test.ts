// Report strategies of the configuration files through the compiled gateway.
import { expect, test } from "bun:test";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { ledgerImbalance } from "../../src/sdk/ledger.ts";
import { GatewayProcess, SEQUENCE_MAPPING } from "../support/gateway-process.ts";
import { ledgerOf } from "../support/ledger-line.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { until } from "../support/until.ts";

const MESSAGES = 30;

test("what is held back is left out, goes up at the end of its period or at the stop, and all is accounted for", async () => {
  await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  await using broker = await Mosquitto.start();
  await using gateway = await GatewayProcess.create({
    platformPort: platform.port,
    brokerPort: broker.port,
    // A period that never ends: only the stop can bring the last sample.
    thingsboard: { reportStrategy: { type: "ON_REPORT_PERIOD", reportPeriod: 3_600_000 } },
    mqtt: {
      mapping: [
        {
          ...SEQUENCE_MAPPING,
          converter: {
            ...SEQUENCE_MAPPING.converter,
            timeseries: [
              { type: "long", key: "seq", value: "${seq}" },
              {
                type: "double",
                key: "value",
                value: "${value}",
                reportStrategy: { type: "ON_CHANGE" },
              },
              {
                type: "long",
                key: "often",
                value: "${seq}",
                reportStrategy: { reportPeriod: 50 },
              },
            ],
          },
        },
      ],
    },
  });
  gateway.start();
  await until("the gateway reached its broker", () =>
    gateway.output.includes("Plant broker: Link is up"),
  );
  const client = await connectAsync({ host: "127.0.0.1", port: broker.port });
  for (let seq = 0; seq < MESSAGES; seq += 1) {
    // Two values that take turns every ten messages.
    const payload = JSON.stringify({ seq, value: Math.floor(seq / 10) % 2 });
    await client.publishAsync("plant/A/data", payload, { qos: 1 });
  }
  const last = String(MESSAGES - 1);
  await until("the short period has ended", () => platform.latest("A", "often")?.text === last);
  await client.endAsync();
  await gateway.stop();

  const stored = (key: string) => platform.series("A", key).map(({ text }) => text);
  expect(stored("value")).toEqual(["0.0", "1.0", "0.0"]);
  expect(stored("seq")).toEqual(["0", last]);
  const ledger = ledgerOf(gateway.output);
  // Two more say of A which connector it belongs to.
  expect(ledger.received).toBe(3 * MESSAGES + 2);
  expect(ledger.filtered["on-change"]).toBe(MESSAGES - 3);
  expect(ledger.rejected).toEqual({});
  expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
}, 60_000);
