// A sensor on a serial line and the compiled program with the stock file of the Python gateway, over a pair of pseudo-terminals.
import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { openSerialPort, type SerialPort } from "../../src/extension/serial-port.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { PtyPair } from "../support/pty-pair.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const NAME = "SerialDevice1";

/** `custom_serial.json` as the Python gateway ships it, but for the port. */
const stock = (port: string): object => ({
  name: "Custom serial connector",
  logLevel: "DEBUG",
  uplinkQueueSize: 100_000,
  devices: [
    {
      name: NAME,
      type: "default",
      port,
      baudrate: 9600,
      converter: "SerialUplinkConverter",
      downlink_converter: "SerialDownlinkConverter",
      telemetry: [{ type: "float", key: "humidity", untilDelimiter: "\r" }],
      attributes: [{ key: "SerialNumber", type: "string", fromByte: 4, toByte: -1 }],
      attributeUpdates: [{ attributeOnPlatform: "attr1", stringToDevice: "value = ${attr1}\n" }],
      serverSideRpc: [
        {
          method: "setValue",
          type: "int",
          withResponse: true,
          responseType: "string",
          responseUntilDelimiter: "\r",
          responseTimeoutSec: 5,
        },
        { method: "getValue", type: "string", withResponse: false },
      ],
    },
    { name: "Absent", port: `${port}-absent`, telemetry: [{ key: "x" }] },
  ],
});

/** The other end of the line. */
class Sensor implements AsyncDisposable {
  heard = Buffer.alloc(0);
  readonly #port: SerialPort;
  readonly #stop = new AbortController();
  readonly #reading: Promise<unknown>;

  private constructor(port: SerialPort) {
    this.#port = port;
    this.#reading = this.#read().catch((error: unknown) => error);
  }

  static async open(path: string): Promise<Sensor> {
    return new Sensor(await openSerialPort({ path }, new AbortController().signal));
  }

  async say(text: string): Promise<void> {
    await this.#port.write(Buffer.from(text), this.#stop.signal);
  }

  /** Waits for bytes, given as hexadecimal digits, and forgets them. */
  async hears(hex: string): Promise<void> {
    await until(`${hex} on the line`, () => this.heard.toString("hex").includes(hex));
    this.heard = Buffer.alloc(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#reading;
    await this.#port[Symbol.asyncDispose]();
  }

  async #read(): Promise<void> {
    for await (const chunk of this.#port.read(this.#stop.signal)) {
      this.heard = Buffer.concat([this.heard, chunk]);
    }
  }
}

async function startGateway(platformPort: number, port: string): Promise<GatewayProcess> {
  const gateway = await GatewayProcess.create({ platformPort, brokerPort: 1 });
  const config = join(gateway.dir, "config");
  const main: object = await Bun.file(join(config, "tb_gateway.json")).json();
  const connectors = [
    { name: "Serial", type: "serial", class: "SerialConnector", configuration: "serial.json" },
  ];
  await writeFile(join(config, "tb_gateway.json"), JSON.stringify({ ...main, connectors }));
  await writeFile(join(config, "serial.json"), JSON.stringify(stock(port)));
  gateway.start();
  return gateway;
}

test(
  "a sensor is read, told of attributes, called, and found again after its adapter was pulled",
  async () => {
    await using pair = await PtyPair.open();
    await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
    await using gateway = await startGateway(platform.port, pair.ours);
    await platform.until(() => platform.devices().includes(NAME), 30_000);
    {
      await using sensor = await Sensor.open(pair.theirs);
      // A message may come in pieces, and one that cannot be read costs only itself.
      await sensor.say("48\r24309");
      await sensor.say("47595\nrubbish\n0\r2430947596\n");
      await until("both messages", () => platform.series(NAME, "humidity").length === 2);
      const humidity = platform.series(NAME, "humidity");
      expect(humidity.map(({ text }) => text)).toEqual(["48.0", "0.0"]);
      await until(
        "the number",
        () => platform.getClient(NAME)["SerialNumber"]?.text === '"30947596"',
      );

      platform.setShared(NAME, { attr1: 25 });
      await sensor.hears(Buffer.from("value = 25\n").toString("hex"));

      const answer = platform.rpc(NAME, "setValue", 300);
      await sensor.hears("012c");
      await sensor.say("OK\r\n");
      expect(JSON.parse(await answer)).toEqual({ result: "OK" });
      expect(JSON.parse(await platform.rpc(NAME, "getValue", "ping"))).toEqual({ success: true });
      await sensor.hears(Buffer.from("ping").toString("hex"));
      expect(JSON.parse(await platform.rpc(NAME, "getValue", 5))).toMatchObject({
        success: false,
        error: "Cannot send 5: params must be a text",
      });
      expect(JSON.parse(await platform.rpc(NAME, "setValue", 0))).toMatchObject({
        success: false,
        error: "No data to send",
      });
    }
    await pair.unplug();
    await until("it is said", () => gateway.output.includes("is gone"));
    await pair.plug();
    await using sensor = await Sensor.open(pair.theirs);
    await until("it is back", () => gateway.output.includes("Link is up again"));
    await sensor.say("7.5\rS\n");
    await until("a value", () => platform.series(NAME, "humidity").at(-1)?.value === 7.5);
    const second = platform.rpc(NAME, "setValue", 7);
    await sensor.hears("07");
    await sensor.say("again\r\n");
    expect(JSON.parse(await second)).toEqual({ result: "again" });
    expect(await gateway.stop()).toBe(0);
  },
  TIMEOUT_MS,
);
