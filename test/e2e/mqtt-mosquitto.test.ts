// The MQTT connector against mosquitto, an independent broker: MQTT 3.1.1 and 5, TLS, client certificates, passwords.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { TestHost } from "../support/connector-host.ts";
import { fastClock } from "../support/fast-clock.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { RunningMqtt, simpleMapping } from "../support/mqtt-connector.ts";
import { until } from "../support/until.ts";

const numbers = (host: TestHost): unknown[] =>
  host.accepted.flatMap(({ telemetry }) => telemetry?.map(({ values }) => values["n"]) ?? []);

const fastHost = (): TestHost => new TestHost({ clock: fastClock(20) });

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** Publishes 1 to `count` in order, a bounded number at a time; resolves when the broker has them. */
async function publishAll(port: number, count: number, qos: 0 | 1 | 2 = 1): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`);
  for (let start = 0; start < count; start += 250) {
    const group = upTo(Math.min(250, count - start)).map((n) =>
      client.publishAsync(`plant/d${n % 3}/data`, `{"n":${start + n}}`, { qos }),
    );
    await Promise.all(group);
  }
  await client.endAsync();
}

describe.each([3, 4, 5] as const)("MQTT version %i", (version) => {
  test.each([0, 1, 2] as const)(
    "5,000 messages with QoS %i arrive once each, in order",
    async (qos) => {
      await using broker = await Mosquitto.start();
      await using connector = await RunningMqtt.start(
        { port: broker.port, version },
        { mapping: [simpleMapping("plant/+/data", { subscriptionQos: qos })] },
        fastHost(),
      );
      await connector.host.status("connected");
      await publishAll(broker.port, 5000, qos);
      await until("all are accepted", () => connector.host.accepted.length >= 5000);
      expect(numbers(connector.host)).toEqual(upTo(5000));
    },
  );

  test("what was held when the broker restarted is delivered again and stored once", async () => {
    await using broker = await Mosquitto.start(["persistence true", "persistence_location {dir}/"]);
    const host = fastHost();
    await using _connector = await RunningMqtt.start(
      {
        port: broker.port,
        version,
        cleanSession: false,
        cleanStart: false,
        sessionExpiryInterval: 600,
      },
      {},
      host,
    );
    await host.status("connected");
    host.hold = true;
    await publishAll(broker.port, 50);
    await until("all wait", () => host.pending.length === 50);
    await broker.kill("SIGTERM");
    await host.status("disconnected");
    host.releaseAll();
    await broker.restart();
    await host.status("connected");
    await publishAll(broker.port, 1);
    await until("the next one", () => host.accepted.length > 50);
    expect(numbers(host)).toEqual([...upTo(50), 1]);
  });
});

describe("filters that overlap", () => {
  test.each([4, 5] as const)("version %i: each mapping sees each message once", async (version) => {
    await using broker = await Mosquitto.start();
    await using connector = await RunningMqtt.start(
      { port: broker.port, version },
      {
        mapping: [
          simpleMapping("plant/#"),
          simpleMapping("plant/+/data"),
          simpleMapping("plant/d0/#"),
        ],
      },
      fastHost(),
    );
    await connector.host.status("connected");
    await publishAll(broker.port, 3);
    await until("seven runs", () => connector.host.accepted.length >= 7);
    await publishAll(broker.port, 3);
    await until("seven more", () => connector.host.accepted.length >= 14);
    expect(
      numbers(connector.host)
        .map(Number)
        .toSorted((a, b) => a - b),
    ).toEqual([1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]);
  });
});

describe("a broker with little inflight", () => {
  test("messages flow although the broker waits for acknowledgements", async () => {
    await using broker = await Mosquitto.start(["max_inflight_messages 2"]);
    await using connector = await RunningMqtt.start({ port: broker.port }, {}, fastHost());
    await connector.host.status("connected");
    await publishAll(broker.port, 500);
    await until("all are accepted", () => connector.host.accepted.length >= 500);
    expect(numbers(connector.host)).toEqual(upTo(500));
  });
});

describe.each([3, 4, 5] as const)("access rules of the broker, version %i", (version) => {
  test("a filter that is refused makes the connector degraded; the others work", async () => {
    await using broker = await Mosquitto.start(ACCESS_RULES, { "access.json": ACCESS });
    await using connector = await RunningMqtt.start(
      { port: broker.port, version },
      { mapping: [simpleMapping("plant/+/data"), simpleMapping("secret/+")] },
      fastHost(),
    );
    const { host } = connector;
    if (version === 3) {
      // MQTT 3.1 has no such answer: the filter is granted, and nothing comes.
      await host.status("connected");
    } else {
      await host.status("degraded");
      const reason = version === 5 ? "not authorized (0x87)" : "unspecified error (0x80)";
      expect(host.statuses.at(-1)?.detail).toBe(`secret/+: ${reason}`);
    }
    await publishAll(broker.port, 1);
    await until("one is accepted", () => host.accepted.length === 1);
  });

  test("a call whose message is refused is an error where the broker can say so", async () => {
    await using broker = await Mosquitto.start(ACCESS_RULES, { "access.json": ACCESS });
    await using connector = await RunningMqtt.start(
      { port: broker.port, version },
      { requestsMapping: { serverSideRpc: [rpcTo("plant/a"), rpcTo("secret/a")] } },
      fastHost(),
    );
    await connector.host.status("connected");
    const call = async (method: string): Promise<unknown> => {
      const request = { deviceName: "d", id: 1, method, params: 1, timeoutMs: 5000 };
      const { signal } = new AbortController();
      return await connector.connector.handleRpc?.(request, signal);
    };
    expect(await call("plant/a")).toBeUndefined();
    const refused: unknown = await call("secret/a").catch((error: unknown) => error);
    if (version === 5) {
      expect(refused).toMatchObject({ name: "RpcError", code: 502 });
      expect(String(refused)).toContain("not authorized (0x87)");
    } else {
      // Before MQTT 5 there is no such answer: the broker acknowledges and drops.
      expect(refused).toBeUndefined();
    }
  });
});

/** Anybody may use `plant/#`, and nothing else. */
const ACCESS = JSON.stringify({
  defaultACLAccess: {
    publishClientSend: false,
    publishClientReceive: true,
    subscribe: false,
    unsubscribe: true,
  },
  clients: [],
  groups: [{ groupname: "anybody", roles: [{ rolename: "plant" }] }],
  anonymousGroup: "anybody",
  roles: [
    {
      rolename: "plant",
      acls: [
        { acltype: "subscribePattern", topic: "plant/#", allow: true },
        { acltype: "publishClientSend", topic: "plant/#", allow: true },
      ],
    },
  ],
});

const ACCESS_RULES = [
  "plugin /usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so",
  "plugin_opt_config_file {dir}/access.json",
];

function rpcTo(topic: string): { readonly [key: string]: string | number } {
  return {
    deviceNameFilter: ".*",
    methodFilter: `^${topic}$`,
    requestTopicExpression: topic,
    valueExpression: "${params}",
    qos: 1,
  };
}

describe("TLS", () => {
  let dir = "";
  const path = (name: string): string => join(dir, name);

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "tbgw-mqtt-tls-"));
    await makeCertificates(dir);
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  const startBroker = (server: string, ...lines: string[]): Promise<Mosquitto> =>
    Mosquitto.start([
      `cafile ${path("ca.pem")}`,
      `certfile ${path(`${server}.pem`)}`,
      `keyfile ${path(`${server}.key`)}`,
      ...lines,
    ]);

  const start = (
    broker: Mosquitto,
    security: { readonly [key: string]: string | boolean },
    more: { readonly [key: string]: string | number } = {},
  ): Promise<RunningMqtt> =>
    RunningMqtt.start({ port: broker.port, security, ...more }, {}, fastHost());

  test.each([4, 5] as const)(
    "version %i: a broker with a certificate of the given CA is trusted",
    async (version) => {
      await using broker = await startBroker("server");
      await using connector = await start(
        broker,
        { type: "certificates", pathToCACert: path("ca.pem") },
        { version },
      );
      await connector.host.status("connected");
    },
  );

  test.each([
    ["older keys", () => ({ type: "none", caCert: path("ca.pem") })],
    ["tls with anonymous", () => ({ type: "anonymous", tls: true, pathToCACert: path("ca.pem") })],
    ["insecure without a CA", () => ({ type: "Certificates", insecure: true })],
  ])("%s", async (_name, security) => {
    await using broker = await startBroker("server");
    await using connector = await start(broker, security());
    await connector.host.status("connected");
  });

  test.each([
    ["another CA", () => ({ type: "certificates", pathToCACert: path("other-ca.pem") })],
    ["no CA: the system's list does not know it", () => ({ type: "certificates" })],
    [
      "another CA, insecure",
      () => ({ type: "certificates", insecure: true, pathToCACert: path("other-ca.pem") }),
    ],
  ])("is refused with %s, before anything is sent", async (_name, security) => {
    await using broker = await startBroker("server");
    await using connector = await start(broker, security());
    await connector.host.status("disconnected");
    expect(connector.host.statuses.at(-1)?.detail).toContain("over TLS");
    expect(connector.host.statuses.map(({ status }) => status)).not.toContain("connected");
  });

  test("the host name is checked, unless insecure is given with the CA", async () => {
    await using broker = await startBroker("stranger");
    const security = { type: "certificates", pathToCACert: path("ca.pem") };
    await using refused = await start(broker, security);
    await refused.host.status("disconnected");
    const line = refused.host.lines.find(({ message }) => message === "Link is down");
    expect(String(line?.fields["error"])).toContain("127.0.0.1");
    await using trusted = await start(
      broker,
      { ...security, insecure: true },
      { clientId: "second" },
    );
    await trusted.host.status("connected");
  });

  test.each([4, 5] as const)(
    "version %i: a client certificate is shown, its key may have a passphrase",
    async (version) => {
      await using broker = await startBroker("server", "require_certificate true");
      const security = {
        type: "certificates",
        pathToCACert: path("ca.pem"),
        pathToClientCert: path("client.pem"),
      };
      await using connector = await start(
        broker,
        { ...security, pathToPrivateKey: path("client.key") },
        { version },
      );
      await connector.host.status("connected");
      await using encrypted = await start(
        broker,
        {
          ...security,
          pathToPrivateKey: path("client-encrypted.key"),
          privateKeyPassphrase: "open sesame",
        },
        { version, clientId: "encrypted" },
      );
      await encrypted.host.status("connected");
      await using without = await start(
        broker,
        { type: "certificates", pathToCACert: path("ca.pem") },
        { version, clientId: "without" },
      );
      await without.host.status("disconnected");
    },
  );

  test.each([
    ["pathToCACert", "missing.pem", "ENOENT"],
    ["pathToCACert", "rubbish.pem", "rubbish.pem"],
    ["pathToClientCert", "rubbish.pem", "rubbish.pem"],
    ["pathToPrivateKey", "rubbish.pem", "rubbish.pem"],
  ])("a bad file in %s (%s) is named, and used once it is right", async (key, file, reason) => {
    await using broker = await startBroker("server");
    const good: Record<string, string> = {
      pathToCACert: path("ca.pem"),
      pathToClientCert: path("client.pem"),
      pathToPrivateKey: path("client.key"),
    };
    await writeFile(path("rubbish.pem"), "-----BEGIN RUBBISH-----\n");
    await rm(path("missing.pem"), { force: true });
    await using connector = await RunningMqtt.start(
      { port: broker.port, security: { type: "certificates", ...good, [key]: path(file) } },
      {},
      new TestHost({ clock: fastClock(300) }),
    );
    await connector.host.status("disconnected");
    const line = connector.host.lines.find(({ level }) => level === "error");
    expect(String(line?.fields["error"])).toContain(file);
    expect(String(line?.fields["error"])).toContain(reason);
    await Bun.write(path(file), Bun.file(good[key] ?? ""));
    await connector.host.status("connected");
  });

  test("user name and password over TLS; a wrong one is refused", async () => {
    const passwords = path("passwords");
    run(["mosquitto_passwd", "-c", "-b", passwords, "gateway", "right"]);
    await using broker = await startBroker(
      "server",
      "allow_anonymous false",
      `password_file ${passwords}`,
    );
    const security = {
      type: "basic",
      tls: true,
      pathToCACert: path("ca.pem"),
      username: "gateway",
    };
    await using good = await start(broker, { ...security, password: "right" });
    await good.host.status("connected");
    for (const version of [4, 5]) {
      await using bad = await start(
        broker,
        { ...security, password: "wrong" },
        { version, clientId: `bad${version}` },
      );
      await bad.host.status("disconnected");
      expect(bad.host.statuses.at(-1)?.detail).toContain("not authorized");
    }
  });
});

function run(command: readonly string[], cwd?: string): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], {
    ...(cwd === undefined ? {} : { cwd }),
    stderr: "pipe",
  });
  if (exitCode !== 0) {
    throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  }
}

/** Two authorities; of the first one a broker for localhost, one for another host, and a client. */
async function makeCertificates(dir: string): Promise<void> {
  const openssl = (args: string): void => run(["openssl", ...args.split(" ")], dir);
  const newKey = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
  for (const name of ["ca", "other-ca"]) {
    openssl(`req -x509 ${newKey} -keyout ${name}.key -out ${name}.pem -days 2 -subj /CN=${name}`);
  }
  for (const [name, names] of [
    ["server", "DNS:localhost,IP:127.0.0.1"],
    ["stranger", "DNS:other.example"],
    ["client", "DNS:gateway"],
  ]) {
    await writeFile(join(dir, `${name}.ext`), `subjectAltName=${names}\n`);
    openssl(`req ${newKey} -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`);
    openssl(
      `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out ${name}.pem -days 2 -extfile ${name}.ext`,
    );
  }
  run(
    "openssl pkcs8 -topk8 -in client.key -out client-encrypted.key -passout"
      .split(" ")
      .concat("pass:open sesame"),
    dir,
  );
}
