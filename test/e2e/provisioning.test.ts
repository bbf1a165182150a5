// A gateway without credentials gets them from the platform; its devices need not wait for that.
import { describe, expect, test } from "bun:test";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { CA, SERVER_CERT, SERVER_KEY } from "../support/private-ca.ts";
import { until } from "../support/until.ts";

const RULE = { strategy: "ALLOW_CREATE_NEW_DEVICES", key: "k3y", secret: "s3cret" } as const;
const TIMEOUT_MS = 60_000;

async function startPlatform(tls: boolean): Promise<ThingsBoardDouble> {
  const certificates = { cert: SERVER_CERT, key: SERVER_KEY, ca: CA, requestCert: true };
  const platform = await ThingsBoardDouble.listen({
    clock: systemClock,
    ...(tls ? { tls: certificates } : {}),
  });
  platform.setProfile("Gateways", { provision: RULE });
  return platform;
}

function requests(platform: ThingsBoardDouble): number {
  return platform
    .transcript()
    .filter(({ packet, bytes }) => packet === "publish" && bytes.includes("/provision/request"))
    .length;
}

/** Publishes one value to the gateway's broker; resolves when the broker has it. */
async function publishValue(port: number, seq: number): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`);
  await client.publishAsync("plant/dev-1/data", `{"seq":${seq},"value":1.5}`, { qos: 1 });
  await client.endAsync();
}

const arrived = (platform: ThingsBoardDouble): string[] =>
  platform.series("dev-1", "seq").map(({ text }) => text);

describe("tbgw run without credentials", () => {
  for (const type of ["ACCESS_TOKEN", "MQTT_BASIC", "X509_CERTIFICATE"] as const) {
    test(
      `${type}: keeps data, is provisioned, delivers, and a restart uses what was saved`,
      async () => {
        const isX509 = type === "X509_CERTIFICATE";
        await using platform = await startPlatform(isX509);
        await using broker = await Mosquitto.start();
        await using gateway = await GatewayProcess.create({
          platformPort: platform.port,
          brokerPort: broker.port,
          thingsboard: {
            security: undefined,
            provisioning: {
              type,
              provisionDeviceKey: RULE.key,
              provisionDeviceSecret: RULE.secret,
              deviceName: "Plant 7",
              ...(isX509 ? { caCert: "ca.pem" } : {}),
            },
          },
        });
        await writeFile(join(gateway.dir, "config/ca.pem"), CA);
        await platform.down();
        gateway.start();
        await until("it reached its broker", () => /Link is up.*broker/.test(gateway.output));
        await publishValue(broker.port, 1);
        await until("it failed once", () => gateway.output.includes("nothing listens"));
        await platform.up();
        await until("the value arrived", () => arrived(platform).includes("1"));
        expect(platform.sessions().some(({ device }) => device === "Plant 7")).toBe(true);
        expect(requests(platform)).toBe(1);
        const file = join(gateway.dir, "data/.credentials");
        expect((await stat(file)).mode & 0o777).toBe(0o600);
        expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ credentialsType: type });
        expect(await gateway.stop()).toBe(0);
        gateway.start();
        await publishValue(broker.port, 2);
        await until("the second value arrived", () => arrived(platform).includes("2"));
        expect(requests(platform)).toBe(1);
        expect(gateway.output).not.toContain(RULE.secret);
        expect(await gateway.stop()).toBe(0);
      },
      TIMEOUT_MS,
    );
  }

  test(
    "a wrong secret is said in one ERROR line with advice, and the gateway goes on",
    async () => {
      await using platform = await startPlatform(false);
      await using broker = await Mosquitto.start();
      await using gateway = await GatewayProcess.create({
        platformPort: platform.port,
        brokerPort: broker.port,
        thingsboard: {
          security: undefined,
          provisioning: { provisionDeviceKey: RULE.key, provisionDeviceSecret: "wr0ng" },
        },
      });
      gateway.start();
      await until("it was told", () => gateway.output.includes("provisionDeviceSecret"));
      await until("it reached its broker", () => /Link is up.*broker/.test(gateway.output));
      await publishValue(broker.port, 1);
      const errors = gateway.output.split("\n").filter((line) => line.includes("ERROR"));
      expect(errors).toHaveLength(1);
      expect(gateway.output).not.toContain("wr0ng");
      expect(await gateway.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );
});
