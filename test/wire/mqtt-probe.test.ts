// `tbgw probe mqtt` against real brokers: what it hears, what it proposes, and that the proposal works as it is.
import { describe, expect, test } from "bun:test";
import { probeMqtt } from "../../connectors/mqtt/probe.ts";
import type { Finding } from "../../src/sdk/connector.ts";
import { isJsonObject, type Json } from "../../src/sdk/model.ts";
import { AedesBroker } from "../support/aedes.ts";
import { TestHost } from "../support/connector-host.ts";
import { fastClock } from "../support/fast-clock.ts";
import { RunningMqtt, readMqttConfig } from "../support/mqtt-connector.ts";
import { freePort } from "../support/ports.ts";
import { ScriptedBroker } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";

const MESSAGES: readonly (readonly [topic: string, payload: string])[] = [
  ["plant/boiler/data", '{"temp":42.5,"on":true,"model":"T1","ts":1700000000000}'],
  ["plant/pump/data", '{"temp":20,"on":false,"model":"T2","ts":1700000000000}'],
  ["meters/all", '{"serialNumber":"SN-1","energy":{"kwh total":229.01}}'],
  ["room/1/temperature", "22.5"],
  ["room/2/temperature", "19"],
  ["raw", "\u0001\u0000ÿþ"],
];

async function probeAll(
  options: Readonly<Record<string, string | boolean>>,
  onListening: () => Promise<void> = async () => await Promise.resolve(),
  signal: AbortSignal = new AbortController().signal,
): Promise<readonly Finding[]> {
  const { log } = new TestHost().host;
  const findings: Finding[] = [];
  for await (const finding of probeMqtt(options, { clock: fastClock(10), log }, signal)) {
    findings.push(finding);
    if (findings.length === 1) {
      await onListening();
    }
  }
  return findings;
}

describe("probeMqtt()", () => {
  test("proposes a connector file that reads what it has heard", async () => {
    await using broker = await AedesBroker.listen();
    const publishAll = async (): Promise<void> => {
      for (const [topic, payload] of MESSAGES) {
        await broker.publish(topic, payload, 0);
      }
    };
    const findings = await probeAll(
      { target: `127.0.0.1:${broker.port}`, version: "4", topic: "+/#", expect: "229.01" },
      publishAll,
    );
    const lines = findings.map(({ text }) => text);
    expect(lines[0]).toBe(`Listening to +/# on 127.0.0.1:${broker.port} for 10 s …`);
    expect(lines[1]).toBe("6 messages on 6 topics");
    expect(lines[2]).toBe('229.01 was heard in meters/all as ${energy."kwh total"}');
    expect(lines.some((line) => line.startsWith("plant/+/data  2 topics, 0.2/s"))).toBe(true);

    const { config } = findings.at(-1) ?? {};
    if (config === undefined || !isJsonObject(config)) {
      throw new Error("There is no connector file");
    }
    expect(readMqttConfig(config).issues).toEqual([]);
    const mapping = config["mapping"] ?? [];
    await using running = await RunningMqtt.start({ port: broker.port, version: 4 }, { mapping });
    await running.host.status("connected");
    await publishAll();
    await until("all are read", () => running.host.accepted.length === MESSAGES.length);
    const read = running.host.accepted.map(({ deviceName, attributes, telemetry }) => [
      deviceName,
      attributes,
      telemetry?.[0]?.values,
    ]);
    const number = (value: number): unknown => expect.objectContaining({ value });
    expect(read).toEqual([
      ["boiler", { model: "T1" }, { temp: number(42.5), on: true }],
      ["pump", { model: "T2" }, { temp: number(20), on: false }],
      ["SN-1", undefined, { "energy.kwh total": number(229.01) }],
      ["1", undefined, { temperature: number(22.5) }],
      ["2", undefined, { temperature: number(19) }],
      ["raw", undefined, expect.anything()],
    ]);
  });

  test("publishes nothing, leaves no session, and says what it did not hear", async () => {
    await using broker = await ScriptedBroker.listen();
    const findings = await probeAll({
      target: `127.0.0.1:${broker.port}`,
      seconds: "1",
      expect: "5",
    });
    expect(findings.map(({ text }) => text).slice(1)).toEqual([
      "0 messages on 0 topics",
      "5 was not heard",
    ]);
    const peer = await broker.peer();
    expect(peer.received.map(({ cmd }) => cmd)).toEqual(["connect", "subscribe", "disconnect"]);
    expect(peer.of("connect")[0]).toMatchObject({
      clean: true,
      properties: { sessionExpiryInterval: 0 },
    });
  });

  test("ends early when it is stopped, with what it has heard", async () => {
    await using broker = await ScriptedBroker.listen();
    const stop = new AbortController();
    const findings = await probeAll(
      { target: `127.0.0.1:${broker.port}`, seconds: "80000" },
      async () => {
        const peer = await broker.peer();
        peer.publish("a/b", "1");
        await peer.roundTrip();
        stop.abort();
      },
      stop.signal,
    );
    expect(findings[1]?.text).toBe("1 messages on 1 topics");
  });

  test("the password does not stand in the proposal", async () => {
    await using broker = await ScriptedBroker.listen();
    const options = {
      target: `127.0.0.1:${broker.port}`,
      seconds: "1",
      username: "u",
      password: "secret",
    };
    const findings = await probeAll(options, async () => {
      const peer = await broker.peer();
      peer.publish("a/b", "1");
      await peer.roundTrip();
    });
    expect((await broker.peer()).of("connect")[0]?.password?.toString()).toBe("secret");
    expect(JSON.stringify(findings)).not.toContain("secret");
    expect(JSON.stringify(findings)).toContain("${env:MQTT_PASSWORD}");
  });

  test.each<readonly [options: Record<string, Json>, text: string]>([
    [{ topic: "a#" }, "--topic"],
    [{ seconds: "soon" }, "--seconds must be a whole number"],
    [{ version: "6" }, "--version"],
    [{ target: "host:99999" }, "HOST:PORT"],
  ])("refuses %j", async (options, text) => {
    const error = await probeAll(options as Record<string, string>).catch(
      (caught: unknown) => caught,
    );
    expect(error).toMatchObject({ name: "RejectedError" });
    expect(String(error)).toContain(text);
  });

  test("a refused filter, and a broker that is not there, are said", async () => {
    await using broker = await ScriptedBroker.listen(() => ({ suback: () => 0x87 }));
    const refused = await probeAll({ target: `127.0.0.1:${broker.port}` }).catch(
      (caught: unknown) => caught,
    );
    expect(String(refused)).toContain("not authorized (0x87)");
    const absent = await probeAll({ target: `127.0.0.1:${await freePort()}` }).catch(
      (caught: unknown) => caught,
    );
    expect(absent).toMatchObject({ name: "TransientError" });
    expect(String(absent)).toContain("nothing listens on that port");
  });
});
