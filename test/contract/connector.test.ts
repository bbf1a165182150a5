// What every connector in the registry must be able to stand, whatever its protocol.
import { describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { connectorTypes } from "../../src/connector/registry.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { Connector } from "../../src/sdk/connector.ts";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "../support/connector-host.ts";
import { LoopbackServer } from "../support/loopback-server.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/until.ts";

/** A connector has this long to end after the abort, and to be disposed. */
const STOP_MS = 1000;
const DISPOSE_MS = 5000;

/** Types whose devices cannot be reached over TCP. */
const WITHOUT_TCP: ReadonlySet<string> = new Set(["serial"]);

/** A configuration that leads to a TCP port, or to a device that is not there, by type. A type without one fails the suite. */
const CONFIGS: Readonly<Record<string, (port: number) => Json>> = {
  ble: (port) => ({
    name: "contract",
    id: "0f8fad5b-d9cb-469f-a165-70867728950d",
    adapter: `tcp:127.0.0.1:${port}`,
    devices: [
      {
        name: "A",
        MACAddress: "A4:C1:38:0B:5E:77",
        telemetry: [
          { key: "n", method: "read", characteristicUUID: "2A19", valueExpression: "[0]" },
        ],
      },
    ],
  }),
  modbus: (port) => ({
    name: "contract",
    id: "0f8fad5b-d9cb-469f-a165-70867728950f",
    master: {
      slaves: [
        {
          deviceName: "A",
          host: "127.0.0.1",
          port,
          unitId: 1,
          pollPeriod: 100,
          timeout: 1,
          retries: 0,
          connectAttemptTimeMs: 1000,
          timeseries: [{ tag: "n", type: "16int", functionCode: 3, address: 0 }],
        },
      ],
    },
  }),
  mqtt: (port) => ({
    name: "contract",
    id: "0f8fad5b-d9cb-469f-a165-70867728950e",
    broker: { host: "127.0.0.1", port },
    mapping: [
      {
        topicFilter: "a/b",
        converter: {
          type: "json",
          deviceInfo: { deviceNameExpressionSource: "constant", deviceNameExpression: "A" },
          timeseries: "*",
        },
      },
    ],
  }),
  opcua: (port) => ({
    name: "contract",
    id: "0f8fad5b-d9cb-469f-a165-70867728950d",
    server: { url: `opc.tcp://127.0.0.1:${port}`, timeoutInMillis: 1000 },
    mapping: [
      {
        deviceNodePattern: "Root\\.Objects\\.A",
        deviceInfo: { deviceNameExpression: "A" },
        timeseries: [{ key: "n", value: "${n}" }],
      },
    ],
  }),
  serial: (port) => ({
    name: "contract",
    devices: [{ deviceName: "A", port: `/dev/tbgw-absent-${port}`, telemetry: [{ key: "n" }] }],
  }),
};

/** Makes an instance for a peer on `port`. */
async function create(type: string, port: number, host: TestHost): Promise<Connector> {
  const definition = (await connectorTypes[type]?.())?.default;
  const config = CONFIGS[type]?.(port);
  if (definition === undefined || config === undefined) {
    throw new Error(`There is no contract configuration for connectors of type ${type}`);
  }
  const checked = await definition.schema["~standard"].validate(config);
  if (checked.issues !== undefined) {
    throw new Error(checked.issues.map(({ message }) => message).join("; "));
  }
  return await definition.create(checked.value, host.host);
}

/** A TCP peer of a test; `onSocket` is how it behaves. */
class Peer extends LoopbackServer {
  readonly #onSocket: (socket: Socket) => void;

  private constructor(onSocket: (socket: Socket) => void) {
    super();
    this.#onSocket = onSocket;
  }

  static async listen(onSocket: (socket: Socket) => void): Promise<Peer> {
    return await new Peer(onSocket).listen();
  }

  protected override serve(socket: Socket): void {
    socket.resume();
    this.#onSocket(socket);
  }
}

/** Milliseconds until `promise` settles, however it does. */
async function lasts(promise: Promise<unknown>): Promise<number> {
  const startMs = systemClock.monotonicMs();
  await promise.catch(() => undefined);
  return systemClock.monotonicMs() - startMs;
}

/** Runs an instance until `reached`, aborts it, and checks that it ends in time and leaves nothing open. */
async function runAndAbort(
  type: string,
  port: number,
  reached: (host: TestHost) => boolean,
): Promise<TestHost> {
  const host = new TestHost({ type });
  const connector = await create(type, port, host);
  const stop = new AbortController();
  const run = connector.run(stop.signal);
  run.catch(() => undefined);
  await until("the state to abort in", () => reached(host));
  stop.abort(new Error("stop"));
  expect(await lasts(run)).toBeLessThan(STOP_MS);
  expect(await lasts(connector[Symbol.asyncDispose]())).toBeLessThan(DISPOSE_MS);
  return host;
}

describe.each(Object.keys(connectorTypes))("connectors of type %s", (type) => {
  test("dispose works before run, and twice", async () => {
    await using host = new TestHost({ type });
    const connector = await create(type, await freePort(), host);
    await connector[Symbol.asyncDispose]();
    await connector[Symbol.asyncDispose]();
  });

  test("create opens nothing", async () => {
    await using peer = await Peer.listen(() => undefined);
    await using host = new TestHost({ type });
    const connector = await create(type, peer.port, host);
    await connector[Symbol.asyncDispose]();
    expect(peer.connections).toBe(0);
  });

  test("an absent peer is no failure: it keeps trying, says so, and ends at once when told", async () => {
    const port = await freePort();
    await using host = await runAndAbort(type, port, ({ statuses, lines }) => {
      return (
        statuses.some(({ status }) => status !== "connected") &&
        lines.some(({ level }) => level === "warn")
      );
    });
    expect(host.accepted).toEqual([]);
  });

  test("a signal that has aborted already ends run at once", async () => {
    await using peer = await Peer.listen(() => undefined);
    await using host = new TestHost({ type });
    const connector = await create(type, peer.port, host);
    expect(await lasts(connector.run(AbortSignal.abort(new Error("stop"))))).toBeLessThan(STOP_MS);
    await connector[Symbol.asyncDispose]();
    expect(peer.open).toBe(0);
  });
});

describe.each(Object.keys(connectorTypes).filter((type) => !WITHOUT_TCP.has(type)))(
  "connectors of type %s with a peer",
  (type) => {
    test("a silent peer does not hold up the stop, and its connection is closed", async () => {
      await using peer = await Peer.listen(() => undefined);
      await using _host = await runAndAbort(type, peer.port, () => peer.connections > 0);
      await until("the connection is closed", () => peer.open === 0);
    });

    test("a peer that resets each connection is tried again, not in a busy loop", async () => {
      await using peer = await Peer.listen((socket) => socket.resetAndDestroy());
      const startMs = systemClock.monotonicMs();
      await using _host = await runAndAbort(type, peer.port, () => peer.connections >= 2);
      expect(systemClock.monotonicMs() - startMs).toBeGreaterThan(800);
      expect(peer.connections).toBeLessThan(5);
    });

    test("a peer that talks rubbish harms nothing", async () => {
      const rubbish = Buffer.from(
        Array.from({ length: 4096 }, (_, index) => (index * 151 + 7) % 256),
      );
      await using peer = await Peer.listen((socket) => {
        socket.write(rubbish);
      });
      await using host = await runAndAbort(type, peer.port, () => peer.connections >= 2);
      expect(host.accepted).toEqual([]);
      await until("the connections are closed", () => peer.open === 0);
    });

    test("a second instance works after the first", async () => {
      await using peer = await Peer.listen(() => undefined);
      await using _first = await runAndAbort(type, peer.port, () => peer.connections === 1);
      await using _second = await runAndAbort(type, peer.port, () => peer.connections === 2);
      await until("nothing is left open", () => peer.open === 0);
    });
  },
);
