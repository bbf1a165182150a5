// One bundle of a running gateway, with secrets planted wherever they could be.
import { expect, test } from "bun:test";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { BINARY, GatewayProcess } from "../support/gateway-process.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;

/** Each planted in another place; none may be in the bundle. */
const PLANTED = {
  token: "PLANTED-token-1",
  broker: 'PLANTED-broker "quoted" pass',
  file: "PLANTED-file-token",
  unknownKey: "PLANTED-unknown-key",
  nested: "PLANTED-nested-9f2",
  url: "PLANTED-url-pass",
  log: "PLANTED-old-pass",
  logJson: "PLANTED-old-json",
  bearer: "PLANTED.bearer.token",
  revision: "PLANTED-revision-pass",
  pem: "UExBTlRFRC1rZXk",
  broken: "PLANTED-broken-file",
};

test(
  "tbgw support has everything that helps, for its owner alone, and no secret",
  async () => {
    await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: PLANTED.token });
    await using gateway = await GatewayProcess.create({
      platformPort: platform.port,
      brokerPort: 9,
      thingsboard: {
        security: { accessToken: PLANTED.file },
        myApiToken: PLANTED.unknownKey,
      },
      mqtt: {
        broker: {
          security: { type: "basic", username: "plant", password: "${env:BROKER_PASSWORD}" },
        },
      },
    });
    const config = join(gateway.dir, "config");
    const main = JSON.parse(await readFile(join(config, "tb_gateway.json"), "utf8"));
    main.connectors.push(
      { type: "acme", name: "Acme", configuration: "acme.json" },
      { type: "mqtt", name: "Broken", configuration: "broken.json" },
    );
    await writeFile(join(config, "tb_gateway.json"), JSON.stringify(main));
    const acme = {
      address: `https://plant:${PLANTED.url}@10.0.0.9/api`,
      deep: [{ credentials: { clientSecret: PLANTED.nested } }],
      reference: { password: "${env:ACME_PASSWORD}" },
    };
    await writeFile(join(config, "acme.json"), JSON.stringify(acme));
    await writeFile(join(config, "broken.json"), `{"password": "${PLANTED.broken}", }}`);
    const pem = `-----BEGIN PRIVATE KEY-----\n${PLANTED.pem}\n-----END PRIVATE KEY-----\n`;
    await writeFile(join(config, "device.pem"), pem);
    const data = join(gateway.dir, "data");
    await mkdir(join(data, "logs"), { recursive: true });
    await mkdir(join(data, "backup/mqtt.json"), { recursive: true });
    const revision = JSON.stringify({ broker: { security: { password: PLANTED.revision } } });
    await writeFile(join(data, "backup/mqtt.json/1700000000000.local"), revision);
    const lines = [
      "an ordinary line of the log",
      `Cannot open mqtt://plant:${PLANTED.url}@10.0.0.5:1883`,
      `login with password=${PLANTED.log} refused`,
      `sent {\\"accessToken\\":\\"${PLANTED.logJson}\\",\\"qos\\":1}`,
      `Authorization: Bearer ${PLANTED.bearer}`,
      `the library said: ${PLANTED.revision}, ${PLANTED.broker}, ${PLANTED.token}`,
      pem,
    ];
    await writeFile(join(data, "logs/service.log"), `${lines.join("\n")}\n`);
    const env = {
      TB_GW_ACCESS_TOKEN: PLANTED.token,
      BROKER_PASSWORD: PLANTED.broker,
      PATH: process.env["PATH"] ?? "",
    };
    gateway.start([], { env });
    await until("the platform is reached", () => {
      const asked = Bun.spawnSync([BINARY, "status", "--data", data, "--json"], { env });
      return /"state": "connected"/.test(asked.stdout.toString());
    });
    const out = join(gateway.dir, "bundle.tar.gz");
    const argv = [BINARY, "support", "--config", config, "--data", data, "--out", out];
    const made = Bun.spawnSync(argv, { env });
    expect(made.stderr.toString()).toBe("");
    expect(made.exitCode).toBe(0);
    expect((await stat(out)).mode & 0o777).toBe(0o600);

    const list = Bun.spawnSync(["tar", "-tzvf", out]).stdout.toString();
    expect(list).toMatch(/^-rw------- .* tbgw-support-\d{8}T\d{6}Z\/version\.txt$/m);
    const folder = join(gateway.dir, "unpacked");
    await mkdir(folder);
    Bun.spawnSync(["tar", "-xzf", out, "-C", folder, "--strip-components=1"]);
    const everything = Bun.spawnSync(["grep", "-rE", "PLANTED|UExBTlRFRC", folder]);
    expect(everything.stdout.toString()).toBe("");
    const part = (name: string): Promise<string> => readFile(join(folder, name), "utf8");
    expect(await part("version.txt")).toMatch(/^tbgw \d/);
    expect(JSON.parse(await part("status.json"))).toMatchObject({ link: { state: "connected" } });
    expect(JSON.parse(await part("connectors.json"))).toHaveLength(3);
    expect(JSON.parse(await part("store.json"))).toMatchObject({ ledger: { received: 0 } });
    expect(JSON.parse(await part("machine.json"))).toMatchObject({
      processor: { architecture: process.arch },
    });
    expect(JSON.parse(await part("variables.json"))).toEqual(["TB_GW_ACCESS_TOKEN"]);
    expect(await part("check.txt")).toMatch(/broken\.json/);
    expect(JSON.parse(await part("config/tb_gateway.json"))).toMatchObject({
      thingsboard: { host: "127.0.0.1", security: { accessToken: "******" } },
    });
    expect(await part("config/acme.json")).toContain("${env:ACME_PASSWORD}");
    expect(await part("config/broken.json")).toContain("nothing of it is here");
    expect(await part("logs/service.log")).toContain("an ordinary line of the log");
    expect(await part("files.txt")).toMatch(/device\.pem$/m);
    // A second one never writes over the first.
    expect(Bun.spawnSync(argv, { env }).exitCode).toBe(1);
    expect(await gateway.stop()).toBe(0);
  },
  TIMEOUT_MS,
);
