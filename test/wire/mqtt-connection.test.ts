// How the MQTT connector connects, is refused, stops, and holds back.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { TestHost } from "../support/connector-host.ts";
import { fastClock } from "../support/fast-clock.ts";
import { RunningMqtt } from "../support/mqtt-connector.ts";
import { freePort } from "../support/ports.ts";
import { ScriptedBroker } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";

describe("CONNECT", () => {
  test.each([
    [3, "MQIsdp", 3],
    [4, "MQTT", 4],
    [5, "MQTT", 5],
    ["4", "MQTT", 4],
    [undefined, "MQTT", 5],
    ["six", "MQTT", 5],
  ])("version %p is %s level %i", async (version, protocolId, level) => {
    await using broker = await ScriptedBroker.listen();
    await using _connector = await RunningMqtt.start({
      port: String(broker.port),
      ...(version === undefined ? {} : { version }),
    } as never);
    const connect = await (await broker.peer()).packet("connect");
    expect(connect.protocolId as string).toBe(protocolId);
    expect(connect.protocolVersion).toBe(level as 5);
  });

  test("carries the defaults of the reference, and a client id that is the same at each start", async () => {
    await using broker = await ScriptedBroker.listen();
    const ids: string[] = [];
    for (const count of [1, 2]) {
      await using _connector = await RunningMqtt.start({ port: broker.port });
      const connect = await (await broker.peer(count)).packet("connect");
      ids.push(connect.clientId);
      expect(connect.clean).toBe(true);
      expect(connect.keepalive).toBe(60);
      expect(connect.username).toBeUndefined();
      expect(connect.properties?.receiveMaximum).toBe(1000);
      expect(connect.properties?.sessionExpiryInterval).toBe(0);
    }
    expect(ids[0]).toBe(ids[1] ?? "");
    expect(ids[0]).toMatch(/^tbgw[0-9a-f]{19}$/);
  });

  test("without keepAlive TCP tests the connection: a broker that lost its power is found out", async () => {
    await using broker = await ScriptedBroker.listen();
    await using _connector = await RunningMqtt.start({ port: broker.port, keepAlive: 0 });
    const connect = await (await broker.peer()).packet("connect");
    expect(connect.keepalive).toBe(0);
    await until("the kernel tests it", () => isTestedByTcp(broker.port));
  });

  test("an empty client id is none: two connectors of one broker do not wait for each other", async () => {
    await using broker = await ScriptedBroker.listen();
    const ids: string[] = [];
    await using _one = await RunningMqtt.start({ port: broker.port, clientId: "" });
    ids.push((await (await broker.peer(1)).packet("connect")).clientId);
    const host = new TestHost({ id: "7c9e6679-7425-40de-944b-e07fc1f90ae7" });
    await using _two = await RunningMqtt.start({ port: broker.port, clientId: " " }, {}, host);
    ids.push((await (await broker.peer(2)).packet("connect")).clientId);
    expect(ids).toEqual([
      expect.stringMatching(/^tbgw[0-9a-f]{19}$/),
      expect.stringMatching(/^tbgw[0-9a-f]{19}$/),
    ]);
    expect(ids[0]).not.toBe(ids[1] ?? "");
  });

  test("carries the user name whatever the type of security says", async () => {
    await using broker = await ScriptedBroker.listen();
    await using _connector = await RunningMqtt.start({
      port: broker.port,
      clientId: "mine",
      cleanSession: false,
      keepAlive: 7,
      version: 4,
      security: { type: "anonymous", username: "user", password: "secret" },
    });
    const connect = await (await broker.peer()).packet("connect");
    expect(connect).toMatchObject({
      clientId: "mine",
      clean: false,
      keepalive: 7,
      username: "user",
    });
    expect(String(connect.password)).toBe("secret");
  });
});

describe("a broker that refuses", () => {
  test.each([
    [4, { returnCode: 5 }, "not authorized (5)"],
    [5, { reasonCode: 0x86 }, "bad user name or password (0x86)"],
    [5, { reasonCode: 0x8a, properties: { reasonString: "go away" } }, "banned (0x8a): go away"],
    [5, { reasonCode: 0x84 }, 'protocol version not supported (0x84); set "version"'],
  ])(
    "version %i: is asked again after a minute, and the error is said once",
    async (version, connack, text) => {
      await using broker = await ScriptedBroker.listen((count) => ({
        connack: count < 3 ? connack : {},
      }));
      const host = new TestHost({ clock: fastClock(600) });
      const startMs = performance.now();
      await using _connector = await RunningMqtt.start({ port: broker.port, version }, {}, host);
      await host.status("connected");
      // Two pauses of 60 s at 600 times the speed.
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(190);
      expect(broker.peers).toHaveLength(3);
      const errors = host.lines.filter(({ level }) => level === "error");
      expect(errors).toHaveLength(1);
      expect(String(errors[0]?.fields["error"])).toContain(text);
      expect(host.statuses.find(({ status }) => status === "disconnected")?.detail).toContain(text);
    },
  );

  test("for the moment only is asked again by the usual back-off", async () => {
    await using broker = await ScriptedBroker.listen((count) => ({
      connack: count === 1 ? { reasonCode: 0x89 } : {},
    }));
    const host = new TestHost({ clock: fastClock(20) });
    await using _connector = await RunningMqtt.start({ port: broker.port }, {}, host);
    await host.status("connected");
    expect(host.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("a broker that comes later is reached", async () => {
    const port = await freePort();
    const host = new TestHost({ clock: fastClock(20) });
    await using _connector = await RunningMqtt.start({ port }, {}, host);
    await host.status("disconnected");
    expect(host.statuses.at(-1)?.detail).toContain("nothing listens on that port");
    await using _broker = await ScriptedBroker.listen(() => ({}), port);
    await host.status("connected");
    const warnings = host.lines.filter(({ message }) => message === "Link is down");
    expect(warnings).toHaveLength(1);
  });

  test.each(["connect", "subscribe"] as const)(
    "one that never answers %s is left after 30 s",
    async (cmd) => {
      await using broker = await ScriptedBroker.listen((count) =>
        count === 1 ? { silentTo: [cmd] } : {},
      );
      const host = new TestHost({ clock: fastClock(100) });
      const startMs = performance.now();
      await using _connector = await RunningMqtt.start({ port: broker.port }, {}, host);
      await host.status("connected");
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(300);
      expect(broker.peers).toHaveLength(2);
    },
  );

  test("one that answers no PINGREQ any more is left", async () => {
    await using broker = await ScriptedBroker.listen((count) =>
      count === 1 ? { silentTo: ["pingreq"] } : {},
    );
    const host = new TestHost({ clock: fastClock(20) });
    await using _connector = await RunningMqtt.start({ port: broker.port, keepAlive: 1 }, {}, host);
    const second = await broker.peer(2);
    await second.packet("pingreq", 2);
    expect((await broker.peer(1)).of("pingreq")).toHaveLength(1);
    expect(broker.peers).toHaveLength(2);
  });

  test("a peer that is no broker is tried again and again", async () => {
    let attempts = 0;
    const server = createServer((socket) => {
      attempts += 1;
      socket.on("error", () => undefined);
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    const listening = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", listening.resolve);
    await listening.promise;
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const host = new TestHost({ clock: fastClock(50) });
    await using _connector = await RunningMqtt.start({ port }, {}, host);
    await until("three attempts", () => attempts >= 3);
    expect(host.statuses.map(({ status }) => status)).not.toContain("connected");
    server.close();
  });

  test("two connectors with one client id at one broker: the second waits and says why", async () => {
    await using broker = await ScriptedBroker.listen();
    await using first = await RunningMqtt.start({ port: broker.port, clientId: "same" });
    await first.host.status("connected");
    const host = new TestHost({ id: "9b2d1f7e-0000-4000-8000-000000000000", name: "Second" });
    await using second = await RunningMqtt.start({ port: broker.port, clientId: "same" }, {}, host);
    await second.host.status("disconnected");
    expect(second.host.statuses.at(-1)?.detail).toContain("clientId");
    expect(broker.peers).toHaveLength(1);
  });
});

describe("DISCONNECT from the broker", () => {
  test("gives its reason", async () => {
    await using broker = await ScriptedBroker.listen();
    const host = new TestHost({ clock: fastClock(20) });
    await using _connector = await RunningMqtt.start({ port: broker.port }, {}, host);
    await host.status("connected");
    const peer = await broker.peer();
    peer.send({ cmd: "disconnect", reasonCode: 0x8e });
    peer.socket.end();
    await broker.peer(2);
    const lost = host.statuses.find(({ status }) => status === "disconnected");
    expect(lost?.detail).toContain("another client took over the session");
  });
});

describe("stopping", () => {
  test("acknowledges what becomes durable meanwhile, says DISCONNECT, and ends within a second", async () => {
    await using broker = await ScriptedBroker.listen();
    const host = new TestHost();
    host.hold = true;
    await using connector = await RunningMqtt.start({ port: broker.port, version: 4 }, {}, host);
    await host.status("connected");
    const peer = await broker.peer();
    peer.publish("plant/d/data", '{"n":1}', { qos: 1, messageId: 1 });
    peer.publish("plant/d/data", '{"n":2}', { qos: 1, messageId: 2 });
    await until("both wait", () => host.pending.length === 2);
    const startMs = performance.now();
    const stopped = connector.stop();
    peer.publish("plant/d/data", '{"n":3}', { qos: 1, messageId: 3 });
    host.pending[0]?.resolve();
    await stopped;
    expect(performance.now() - startMs).toBeLessThan(1000);
    await until("the socket is closed", () => peer.isClosed);
    expect(peer.ids("puback")).toEqual([1]);
    expect(peer.of("disconnect")).toHaveLength(1);
    expect(host.pending).toHaveLength(2);
  });

  test("works before run, twice, and while the broker is away", async () => {
    const port = await freePort();
    await using connector = await RunningMqtt.start({ port });
    await connector.stop();
    await connector.stop();
    expect(await connector.ended).toBeInstanceOf(Error);
  });
});

describe("back-pressure", () => {
  test.each([0, 1] as const)(
    "QoS %i: a store that never answers stops the reading, and all is stored once it does",
    async (qos) => {
      await using broker = await ScriptedBroker.listen();
      const host = new TestHost();
      host.hold = true;
      // Short keep-alive: reading is stopped for longer than it takes to find a dead link.
      await using connector = await RunningMqtt.start(
        { port: broker.port, version: 4, keepAlive: 1 },
        {},
        host,
      );
      await host.status("connected");
      const peer = await broker.peer();
      const count = 20_000;
      const filler = "x".repeat(1000);
      for (let n = 1; n <= count; n += 1) {
        peer.publish("plant/d/data", `{"n":${n},"filler":"${filler}"}`, {
          qos,
          ...(qos === 0 ? {} : { messageId: n }),
        });
      }
      await until("the connector is full", () => host.pending.length >= 2000);
      await peer.packet("pingreq", 3);
      expect(host.pending.length).toBe(2000);
      // The rest is with the broker: it could not even write it.
      expect(peer.socket.writableLength).toBeGreaterThan(count * 500);
      expect(peer.isClosed).toBe(false);
      host.releaseAll();
      await until("all are stored", () => host.accepted.length === count);
      const numbers = host.accepted.map(({ telemetry }) => telemetry?.[0]?.values["n"]);
      expect(numbers).toEqual(Array.from({ length: count }, (_, index) => index + 1));
      if (qos === 1) {
        await peer.packet("puback", count);
        expect(peer.ids("puback")).toEqual(Array.from({ length: count }, (_, index) => index + 1));
      }
      expect(broker.peers).toHaveLength(1);
      expect(connector.host.rejections.size).toBe(0);
    },
    30_000,
  );
});

/** Whether the kernel of this machine tests an idle connection to a port: timer 02 in its table (proc_net_tcp.txt). */
function isTestedByTcp(port: number): boolean {
  const peer = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
  return rows
    .map((row) => row.trim().split(/\s+/))
    .some((columns) => columns[2]?.endsWith(peer) === true && columns[5]?.startsWith("02:"));
}
