import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import mqtt from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { type RawClientOptions, RawMqttClient } from "../support/raw-mqtt-client.ts";
import { TEST_CERTIFICATES } from "../support/test-certificates.ts";

let clock: FakeClock;
let server: ThingsBoardDouble;
let clients: DisposableStack;

beforeEach(async () => {
  clock = new FakeClock();
  server = await ThingsBoardDouble.listen({ clock });
  server.createGateway("GW", "token");
  clients = new DisposableStack();
});

afterEach(async () => {
  clients.dispose();
  await server[Symbol.asyncDispose]();
});

/** What a CONNECT is answered with. */
async function answer(options: RawClientOptions): Promise<string> {
  const client = clients.use(await RawMqttClient.open(server.port, options.level ?? 4));
  client.sendConnect(options);
  const seen = [await client.next()];
  if (!seen[0]?.endsWith(" 0") && !seen[0]?.endsWith("0x00")) {
    while (seen.at(-1) !== "closed") {
      seen.push(await client.next());
    }
  }
  return seen.join(", ");
}

describe("CONNECT", () => {
  test("an access token is accepted whatever password and client id say", async () => {
    for (const level of [3, 4, 5] as const) {
      const expected = level === 5 ? "connack 0x00" : "connack 0";
      expect(await answer({ level, username: "token", password: "x", clientId: "y" })).toBe(
        expected,
      );
    }
  });

  test("a refusal tells by what was presented", async () => {
    const cases: readonly [RawClientOptions, string, string][] = [
      [{ username: "wrong" }, "connack 5, closed", "connack 0x86, disconnect 0x86, closed"],
      [
        { username: "wrong", password: "p" },
        "connack 5, closed",
        "connack 0x86, disconnect 0x86, closed",
      ],
      [{ clientId: "only-id" }, "connack 2, closed", "connack 0x85, disconnect 0x85, closed"],
      [{ clientId: "" }, "connack 5, closed", "connack 0x87, disconnect 0x87, closed"],
    ];
    for (const [options, v3, v5] of cases) {
      expect(await answer({ ...options, level: 4 })).toBe(v3);
      expect(await answer({ ...options, level: 5 })).toBe(v5);
    }
  });

  test("MQTT_BASIC compares only what is stored", async () => {
    server.createDevice("U", "default", { type: "MQTT_BASIC", userName: "u", password: "p" });
    server.createDevice("C", "default", { type: "MQTT_BASIC", clientId: "c" });
    server.createDevice("B", "default", { type: "MQTT_BASIC", clientId: "b", userName: "bu" });
    expect(await answer({ username: "u", password: "p", clientId: "any" })).toBe("connack 0");
    expect(await answer({ username: "u", password: "P", clientId: "any" })).toBe(
      "connack 5, closed",
    );
    expect(await answer({ clientId: "c" })).toBe("connack 0");
    expect(await answer({ clientId: "b", username: "bu" })).toBe("connack 0");
    expect(await answer({ clientId: "z", username: "bu" })).toBe("connack 5, closed");
    expect(() =>
      server.setCredentials("U", { type: "MQTT_BASIC", clientId: "c2", password: "p" }),
    ).toThrow("a password needs a user name");
  });

  test("a wrong password under client id and user name ends the search", async () => {
    const basic = {
      type: "MQTT_BASIC",
      clientId: "i",
      userName: "both",
      password: "right",
    } as const;
    server.createDevice("First", "default", basic);
    server.createDevice("Second", "default", "both");
    expect(await answer({ clientId: "i", username: "both", password: "wrong" })).toBe(
      "connack 5, closed",
    );
    expect(await answer({ clientId: "other", username: "both", password: "wrong" })).toBe(
      "connack 0",
    );
  });

  test("a device of another transport is unavailable", async () => {
    server.setProfile("coap", { transport: "COAP" });
    server.createDevice("Coap", "coap", "coap-token");
    expect(await answer({ level: 4, username: "coap-token" })).toBe("connack 3, closed");
    expect(await answer({ level: 5, username: "coap-token" })).toBe(
      "connack 0x88, disconnect 0x89, closed",
    );
  });

  test("session present is what the client asked for, on a refusal too", async () => {
    for (const username of ["token", "wrong"]) {
      const client = clients.use(await RawMqttClient.open(server.port, 4));
      client.sendConnect({ username, clean: false });
      expect(await client.nextPacket()).toMatchObject({ cmd: "connack", sessionPresent: true });
    }
  });

  test("a newer connection of the device ends the older one", async () => {
    const older = clients.use(
      await RawMqttClient.connect(server.port, { level: 5, username: "token" }),
    );
    clients.use(await RawMqttClient.connect(server.port, { level: 5, username: "token" }));
    expect(await older.next()).toBe("disconnect 0x8e");
    expect(await older.next()).toBe("closed");
    await server.until(() => server.sessions().length === 1);
  });

  test("changed credentials and a deleted device end the connection", async () => {
    const client = clients.use(
      await RawMqttClient.connect(server.port, { level: 5, username: "token" }),
    );
    server.setCredentials("GW", "other");
    expect(await client.drain()).toEqual(["disconnect 0x98", "closed"]);
    const again = clients.use(
      await RawMqttClient.connect(server.port, { level: 5, username: "other" }),
    );
    server.deleteDevice("GW");
    expect(await again.drain()).toEqual(["disconnect 0x98", "closed"]);
    expect(await answer({ level: 4, username: "other" })).toBe("connack 5, closed");
  });

  test("a second CONNECT is handled again", async () => {
    server.createDevice("Other", "default", "other");
    const client = clients.use(await RawMqttClient.connect(server.port, { username: "token" }));
    client.sendConnect({ username: "other" });
    expect(await client.next()).toBe("connack 0");
    expect(server.sessions().map((session) => session.device)).toEqual(["Other"]);
  });

  test("a malformed CONNECT is closed without an answer", async () => {
    const connects: readonly (readonly number[])[] = [
      [0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 6, 2, 0, 0, 0, 0], // Level 6.
      [0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 0x84, 2, 0, 0, 0, 0], // Bridge level.
      [0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 3, 2, 0, 0, 0, 0], // Level 3 under the name of level 4.
      [0x10, 0x0e, 0, 6, 0x4d, 0x51, 0x49, 0x73, 0x64, 0x70, 3, 2, 0, 0, 0, 0], // 3.1 without client id.
      [0x10, 0xff, 0xff, 0xff, 0xff],
    ];
    for (const bytes of connects) {
      const client = clients.use(await RawMqttClient.open(server.port));
      client.sendBytes(Uint8Array.from(bytes));
      expect(await client.next()).toBe("closed");
    }
  });
});

describe("packets", () => {
  test("the packet limit is measured on the Remaining Length", async () => {
    // 20 bytes of topic, 2 of its length and 2 of packet id leave 65,512 for the payload of MQTT 3.1.1.
    for (const [level, fits] of [
      [4, 65_512],
      [5, 65_511],
    ] as const) {
      const client = clients.use(
        await RawMqttClient.connect(server.port, { level, username: "token" }),
      );
      const exact = `{"A":[{"k":1}]}`.padEnd(fits, " ");
      const topic = "v1/gateway/telemetry";
      expect(await client.outcome({ topic, payload: exact })).toBe(
        level === 5 ? "puback 1 0x00" : "puback 1",
      );
      const over = await client.outcome({ topic, payload: `${exact} ` });
      expect(over).toBe(level === 5 ? "disconnect 0x81, closed" : "closed");
    }
  });

  test("a wildcard in the topic and packet id 0 are malformed", async () => {
    for (const bytes of [
      [0x32, 5, 0, 1, 0x2b, 0, 1],
      [0x32, 5, 0, 1, 0x61, 0, 0],
      [0x36, 5, 0, 1, 0x61, 0, 1],
    ]) {
      const client = clients.use(await RawMqttClient.connect(server.port, { username: "token" }));
      client.sendBytes(Uint8Array.from(bytes));
      expect(await client.next()).toBe("closed");
    }
  });

  test("100 packets wait for CONNACK and the 101st ends the session", async () => {
    server.faults.connackDelayMs = 1_000;
    for (const [count, expected] of [
      [100, "connack 0x00"],
      [101, "disconnect 0x97"],
    ] as const) {
      const client = clients.use(await RawMqttClient.open(server.port, 5));
      const before = server.counters().packetsIn;
      client.sendConnect({ username: "token" });
      for (let index = 0; index < count; index += 1) {
        client.publish({ topic: "v1/gateway/telemetry", payload: '{"A":[{"k":1}]}' });
      }
      await server.until(() => server.counters().packetsIn === before + count + 1);
      await clock.advance(1_000);
      expect(await client.next()).toBe(expected);
    }
    await server.until(() => server.counters().values === 100);
  });

  test("a stalled server ends the session at the 101st packet", async () => {
    const client = clients.use(
      await RawMqttClient.connect(server.port, { level: 5, username: "token" }),
    );
    server.faults.processing.close();
    for (let index = 0; index < 2; index += 1) {
      client.publish({ topic: "v1/gateway/telemetry", payload: '{"A":[{"k":1}]}' });
    }
    await server.until(() => server.counters().packetsIn === 3);
    expect(server.counters().values).toBe(0);
    server.faults.processing.open();
    expect(await client.drain()).toEqual(["puback 1 0x00", "puback 2 0x00"]);
    server.faults.processing.close();
    for (let index = 0; index < 101; index += 1) {
      client.send({ cmd: "pingreq" });
    }
    expect(await client.next()).toBe("disconnect 0x97");
  });

  test("keep alive is not enforced, 600 s without a packet are", async () => {
    const client = clients.use(
      await RawMqttClient.connect(server.port, { level: 5, username: "token" }),
    );
    await clock.advance(599_000);
    expect(await client.drain()).toEqual([]);
    await clock.advance(599_000);
    expect(await client.drain()).toEqual([]);
    await clock.advance(606_000);
    expect(await client.next()).toBe("disconnect 0x83");
  });

  test("DISCONNECT ends the session and is remembered", async () => {
    const client = clients.use(await RawMqttClient.connect(server.port, { username: "token" }));
    client.send({ cmd: "disconnect" });
    expect(await client.next()).toBe("closed");
    expect(server.sessions()).toEqual([]);
    expect(server.attributes("GW", "server")).toMatchObject({
      active: { value: true },
      lastDisconnectTime: { value: 1_700_000_000_000 },
    });
  });
});

describe("provisioning", () => {
  const topic = "/provision/request";
  const keys = '"provisionDeviceKey":"key","provisionDeviceSecret":"secret"';

  beforeEach(() => {
    const strategy = "ALLOW_CREATE_NEW_DEVICES";
    server.setProfile("p", { provision: { strategy, key: "key", secret: "secret" } });
  });

  async function provisioner(level: 4 | 5 = 5): Promise<RawMqttClient> {
    return clients.use(await RawMqttClient.connect(server.port, { level, username: "provision" }));
  }

  test("a device is created with its credentials and the session closes after 60 s", async () => {
    const client = await provisioner();
    expect(await client.subscribe(["/provision/response", "v1/gateway/rpc"])).toEqual([1, 0x8f]);
    client.publish({
      topic,
      payload: `{"deviceName":" GW 1 ","gateway":true,"token":"mine",${keys}}`,
    });
    expect(await client.drain()).toEqual([
      "puback 1 0x00",
      '/provision/response {"credentialsValue":"mine","credentialsType":"ACCESS_TOKEN","status":"SUCCESS"}',
    ]);
    expect(server.device("GW 1")?.isGateway).toBe(true);
    await clock.advance(60_000);
    expect(await client.next()).toBe("disconnect 0x00");
    expect(await answer({ username: "mine" })).toBe("connack 0");
  });

  test("each failure has its status", async () => {
    const client = await provisioner(4);
    const reply = async (payload: string): Promise<unknown> => {
      client.publish({ topic, payload });
      const seen = await client.drain();
      return JSON.parse(seen[1]?.slice("/provision/response ".length) ?? "null");
    };
    const failed = { errorMsg: "Failed to provision device!", status: "FAILURE" };
    expect(await reply(`{"deviceName":"GW",${keys}}`)).toEqual(failed);
    expect(await reply(`{"deviceName":"  ",${keys}}`)).toEqual(failed);
    expect(await reply('{"provisionDeviceKey":"key","provisionDeviceSecret":"no"}')).toEqual({
      errorMsg: "Provision data was not found!",
      status: "NOT_FOUND",
    });
    expect(
      await reply(
        `{"credentialsType":"MQTT_BASIC","username":"u","password":"p","clientId":"c",${keys}}`,
      ),
    ).toEqual({
      credentialsValue: { clientId: "c", userName: "u", password: "p" },
      credentialsType: "MQTT_BASIC",
      status: "SUCCESS",
    });
  });

  test("a pre-provisioned device is taken once", async () => {
    const strategy = "CHECK_PRE_PROVISIONED_DEVICES";
    server.setProfile("pre", { provision: { strategy, key: "k2", secret: "s2" } });
    server.createDevice("Ready", "pre");
    const client = await provisioner();
    const payload = '{"deviceName":"Ready","provisionDeviceKey":"k2","provisionDeviceSecret":"s2"}';
    client.publish({ topic, payload });
    expect((await client.drain())[1]).toContain('"status":"SUCCESS"');
    client.publish({ topic, payload });
    expect((await client.drain())[1]).toContain('"status":"FAILURE"');
  });

  test("anything else is refused", async () => {
    const outcome = async (payload: string, other = topic): Promise<string> =>
      (await provisioner()).outcome({ topic: other, payload });
    expect(await outcome("{}", "v1/devices/me/telemetry")).toBe(
      "puback 1 0x90, disconnect 0x90, closed",
    );
    expect(await outcome("{}")).toBe("puback 1 0x83, disconnect 0x83, closed");
    expect(await outcome(`{"credentialsType":"NONE",${keys}}`)).toBe(
      "puback 1 0x83, disconnect 0x83, closed",
    );
    expect(await outcome("{")).toBe("puback 1 0x99");
  });
});

/** A time within the validity of the test certificates. */
const IN_VALIDITY = Date.UTC(2040, 0, 1);

describe("TLS", () => {
  const { serverKey: key, serverCert: cert, ca, clientCert, clientKey } = TEST_CERTIFICATES;

  async function tlsConnect(port: number, withCertificate: boolean): Promise<string> {
    const client = await mqtt
      .connectAsync({
        protocol: "mqtts",
        host: "127.0.0.1",
        port,
        ca: cert,
        username: "ignored",
        reconnectPeriod: 0,
        ...(withCertificate ? { cert: `${clientCert}${ca}`, key: clientKey } : {}),
      })
      .catch((error: Error) => error);
    if (client instanceof Error) {
      return client.message;
    }
    await client.endAsync();
    return "accepted";
  }

  test("a known client certificate is a credential and an unknown one is refused by CONNACK", async () => {
    await using secure = await ThingsBoardDouble.listen({
      clock: new FakeClock(IN_VALIDITY),
      tls: { key, cert, requestCert: true },
    });
    expect(await tlsConnect(secure.port, true)).toContain("Not authorized");
    secure.createDevice("Tls", "default", { type: "X509_CERTIFICATE", certificate: clientCert });
    expect(await tlsConnect(secure.port, true)).toBe("accepted");
    expect(await tlsConnect(secure.port, false)).toContain("Not authorized");
    secure.createDevice("Token", "default", "ignored");
    expect(await tlsConnect(secure.port, false)).toBe("accepted");
  });

  test("a certificate chain creates the device its common name gives", async () => {
    await using secure = await ThingsBoardDouble.listen({
      clock: new FakeClock(IN_VALIDITY),
      tls: { key, cert, ca, requestCert: true },
    });
    const strategy = "X509_CERTIFICATE_CHAIN";
    secure.setProfile("chain", {
      provision: { strategy, key: ca, commonNamePattern: "(.*)\\.plant" },
    });
    expect(await tlsConnect(secure.port, true)).toBe("accepted");
    expect(secure.device("device-17")?.profile).toBe("chain");
  });
});
