// Each way to prove who the gateway is, from the configuration files to the platform.
import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import type { Credentials } from "../../src/demo/thingsboard/model.ts";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { ConnectProxy } from "../support/connect-proxy.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import {
  CA,
  CLIENT_CERT,
  CLIENT_KEY,
  OTHER_CA,
  SERVER_CERT,
  SERVER_KEY,
} from "../support/private-ca.ts";
import { RecordingRelay } from "../support/recording-relay.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const TOKEN: Credentials = { type: "ACCESS_TOKEN", token: "t0k3n-0f-the-gateway" };

/** A platform, a line to it that is listened to, a broker with one device, and a gateway configured for them. */
async function setUp(options: {
  readonly tls: boolean;
  readonly credentials: Credentials;
  readonly thingsboard: object;
}) {
  await using stack = new AsyncDisposableStack();
  const certificates = { cert: SERVER_CERT, key: SERVER_KEY, ca: CA, requestCert: true };
  const platform = stack.use(
    await ThingsBoardDouble.listen({
      clock: systemClock,
      ...(options.tls ? { tls: certificates } : {}),
    }),
  );
  platform.createGateway("gateway", options.credentials);
  const relay = stack.use(await RecordingRelay.open(platform.port));
  const broker = stack.use(await Mosquitto.start());
  const gateway = stack.use(
    await GatewayProcess.create({
      platformPort: relay.port,
      brokerPort: broker.port,
      thingsboard: options.thingsboard,
    }),
  );
  for (const [name, text] of [
    ["ca.pem", CA],
    ["other-ca.pem", OTHER_CA],
    ["client.pem", CLIENT_CERT],
    ["client.key", CLIENT_KEY],
  ] as const) {
    await writeFile(join(gateway.dir, "config", name), text);
  }
  const owned = stack.move();
  return {
    platform,
    relay,
    gateway,
    /** Starts it and hands one value to its broker once the gateway listens there. */
    start: async () => {
      gateway.start();
      await until("it reached its broker", () => /Link is up.*broker/.test(gateway.output));
      const client = await connectAsync(`mqtt://127.0.0.1:${broker.port}`);
      await client.publishAsync("plant/dev-1/data", '{"seq":1,"value":1.5}', { qos: 1 });
      await client.endAsync();
    },
    arrived: () => platform.series("dev-1", "seq").length > 0,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const BASIC = { clientId: "gw-7", userName: "user", password: "pass" };

describe("thingsboard.security", () => {
  test.each<[string, boolean, Credentials, object]>([
    ["accessToken", false, TOKEN, { accessToken: TOKEN.token }],
    [
      "usernamePassword",
      false,
      { type: "MQTT_BASIC", ...BASIC },
      { clientId: "gw-7", username: "user", password: "pass" },
    ],
    ["tlsAccessToken", true, TOKEN, { accessToken: TOKEN.token, caCert: "ca.pem" }],
    [
      "tlsPrivateKey",
      true,
      { type: "X509_CERTIFICATE", certificate: CLIENT_CERT },
      { caCert: "ca.pem", cert: "client.pem", privateKey: "client.key" },
    ],
  ])(
    "%s delivers",
    async (type, tls, credentials, security) => {
      await using plant = await setUp({
        tls,
        credentials,
        thingsboard: { security: { type, ...security } },
      });
      await plant.start();
      await until("the value arrived", plant.arrived);
      expect(plant.relay.heard.includes("seq")).toBe(!tls);
      expect(plant.gateway.output).not.toContain(TOKEN.token);
      expect(plant.gateway.output).not.toContain("ERROR");
    },
    TIMEOUT_MS,
  );

  test(
    "a CA that does not vouch for the server is said, and the token stays here",
    async () => {
      await using plant = await setUp({
        tls: true,
        credentials: TOKEN,
        thingsboard: { security: { accessToken: TOKEN.token, caCert: "other-ca.pem" } },
      });
      await plant.start();
      await until("it was said", () => plant.gateway.output.includes("not from a CA that is"));
      await until("it tried again", () => plant.relay.connections >= 3);
      expect(plant.relay.heard.includes(TOKEN.token)).toBe(false);
      expect(plant.platform.counters().bytesIn).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "a certificate near its end is an attribute of the gateway",
    async () => {
      await using plant = await setUp({
        tls: true,
        credentials: TOKEN,
        thingsboard: {
          // The test CA lives for a hundred years.
          security: { accessToken: TOKEN.token, caCert: "ca.pem", certificateDaysLeft: 40_000 },
        },
      });
      await plant.start();
      await until(
        "the attribute arrived",
        () => plant.platform.attributes("gateway", "client")["CACertificate"] !== undefined,
      );
      expect(plant.gateway.output).toContain("CA certificate ends soon");
      await until("the value arrived", plant.arrived);
    },
    TIMEOUT_MS,
  );
});

describe("thingsboard.proxy_host", () => {
  test(
    "carries the connection, with TLS inside",
    async () => {
      await using proxy = await ConnectProxy.open();
      await using plant = await setUp({
        tls: true,
        credentials: TOKEN,
        thingsboard: {
          proxy_host: "127.0.0.1",
          proxy_port: proxy.port,
          security: { type: "tlsAccessToken", accessToken: TOKEN.token, caCert: "ca.pem" },
        },
      });
      await plant.start();
      await until("the value arrived", plant.arrived);
      expect(proxy.targets).toEqual([`127.0.0.1:${plant.relay.port}`]);
    },
    TIMEOUT_MS,
  );
});
