import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProvisioningRequest, SessionSettings } from "../../src/thingsboard/settings.ts";
import { CA, SERVER_CERT, SERVER_KEY } from "../support/private-ca.ts";
import { RecordingRelay } from "../support/recording-relay.ts";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

const TS = 1_700_000_000_000;
const PROFILE = "Provisioned gateways";
const RULE = {
  strategy: "ALLOW_CREATE_NEW_DEVICES",
  key: "profile-key",
  secret: "s3cret",
} as const;

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tbgw-provision-"));
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

interface Wanted {
  readonly wanted?: ProvisioningRequest["wanted"];
  readonly deviceName?: string;
  readonly secret?: string;
  readonly speed?: number;
  readonly settings?: Partial<SessionSettings>;
  readonly server?: { readonly tls: object };
}

/** A gateway without credentials before a server with one profile that gives some; nothing runs yet. */
async function unprovisioned(options: Wanted = {}): Promise<UplinkRig> {
  const request: ProvisioningRequest = {
    deviceKey: RULE.key,
    deviceSecret: options.secret ?? RULE.secret,
    deviceName: options.deviceName,
    wanted: options.wanted ?? { kind: "accessToken", accessToken: undefined },
  };
  const rig = await UplinkRig.open({
    idle: true,
    speed: options.speed ?? 20,
    settings: {
      ...options.settings,
      credentials: { kind: "provisioning", request, dataDir: dir },
    },
    ...(options.server === undefined
      ? {}
      : { server: { tls: { cert: SERVER_CERT, key: SERVER_KEY, ca: CA, requestCert: true } } }),
  });
  rig.server.setProfile(PROFILE, { provision: RULE });
  return rig;
}

async function connected(rig: UplinkRig): Promise<void> {
  await rig.until("it is connected", () => rig.session.state.link === "connected");
}

async function saved(): Promise<Record<string, unknown>> {
  const path = join(dir, ".credentials");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  return JSON.parse(await readFile(path, "utf8"));
}

/** How many PUBLISH packets with that text have crossed the wire. */
function published(rig: UplinkRig, direction: "in" | "out", text: string): number {
  return rig.server
    .transcript()
    .filter((entry) => entry.direction === direction && entry.packet === "publish")
    .filter(({ bytes }) => bytes.includes(text)).length;
}

function gatewayName(rig: UplinkRig): string | undefined {
  return rig.server.sessions().find(({ device }) => device !== undefined)?.device;
}

describe("provisioning", () => {
  test("asks for a token, keeps the answer word for word, and sends what has waited", async () => {
    await using rig = await unprovisioned();
    await rig.put([telemetry("A", TS, 1)]);
    rig.start();
    await rig.emptied();
    expect(gatewayName(rig)).toMatch(/^Gateway [a-z]{5}$/);
    expect(rig.server.series("A", "n")).toHaveLength(1);
    const kept = await saved();
    expect(kept).toMatchObject({ credentialsType: "ACCESS_TOKEN", status: "SUCCESS" });
    expect(kept["credentialsValue"]).toMatch(/^[a-z]{20}$/);
    const text = await readFile(join(dir, ".credentials"), "utf8");
    expect(published(rig, "out", text)).toBe(1);
    expect(await readdir(dir)).toEqual([".credentials"]);
  });

  test("asks for the token and the device name of the configuration", async () => {
    await using rig = await unprovisioned({
      wanted: { kind: "accessToken", accessToken: "wished" },
      deviceName: "Pump house",
    });
    rig.start();
    await connected(rig);
    expect(gatewayName(rig)).toBe("Pump house");
    expect(await saved()).toMatchObject({ credentialsValue: "wished" });
  });

  test("asks for client id, user name and password", async () => {
    await using rig = await unprovisioned({
      wanted: {
        kind: "usernamePassword",
        clientId: "c-1",
        username: "user",
        password: undefined,
      },
    });
    rig.start();
    await connected(rig);
    expect(rig.server.sessions().find(({ device }) => device !== undefined)?.clientId).toBe("c-1");
    expect(await saved()).toMatchObject({
      credentialsType: "MQTT_BASIC",
      credentialsValue: { clientId: "c-1", userName: "user", password: expect.any(String) },
    });
  });

  test("makes a certificate, which is the credential from then on", async () => {
    const caPath = join(dir, "ca.pem");
    await writeFile(caPath, CA);
    await using rig = await unprovisioned({
      wanted: { kind: "certificate", caCert: "ca.pem" },
      settings: { tls: { caPath, certPath: undefined, keyPath: undefined, insecure: false } },
      server: { tls: {} },
    });
    rig.start();
    await connected(rig);
    expect(gatewayName(rig)).toStartWith("Gateway ");
    expect(await saved()).toMatchObject({
      credentialsType: "X509_CERTIFICATE",
      credentialsValue: expect.any(String),
      status: "SUCCESS",
      caCert: "ca.pem",
    });
    for (const file of ["cert.pem", "key.pem"]) {
      expect((await stat(join(dir, file))).mode & 0o777).toBe(0o600);
    }
    const certificate = new X509Certificate(await readFile(join(dir, "cert.pem")));
    expect(certificate.subject).toBe("CN=localhost");
  });

  for (const [status, options, advice] of [
    ["NOT_FOUND", { secret: "wrong" }, "provisionDeviceSecret"],
    ["FAILURE", { deviceName: "GW" }, "its name is taken"],
  ] as const) {
    test(`${status} is said once with advice and asked again every 60 s`, async () => {
      await using rig = await unprovisioned({ ...options, speed: 200 });
      rig.start();
      await rig.until("it was refused", () => rig.session.state.link === "refused");
      expect(rig.session.state.detail).toContain(advice);
      const asked = (): number => published(rig, "in", "/provision/request");
      const atMs = performance.now();
      const before = asked();
      await rig.server.until(() => asked() >= before + 2);
      // Two pauses of 60 s, jitter aside, at 200 times the speed.
      expect(performance.now() - atMs).toBeGreaterThan(400);
      expect(rig.log.messages("error")).toEqual(["Link is refused by the peer"]);
      expect(await readdir(dir)).toEqual([]);
      expect(JSON.stringify(rig.log.records)).not.toContain(options.secret ?? RULE.secret);
    });
  }

  test("a device that exists already and takes what is asked for is ours", async () => {
    await using rig = await unprovisioned({
      wanted: { kind: "accessToken", accessToken: "gw-token" },
      deviceName: "GW",
    });
    rig.start();
    await connected(rig);
    expect(gatewayName(rig)).toBe("GW");
    expect(await saved()).toEqual({
      credentialsType: "ACCESS_TOKEN",
      credentialsValue: "gw-token",
      status: "SUCCESS",
    });
  });

  test("an answer that is lost on the way costs nothing", async () => {
    await using rig = await unprovisioned({ deviceName: "Pump house" });
    await using relay = await RecordingRelay.open(rig.server.port);
    relay.cutAt = "SUCCESS";
    await using cut = await unprovisioned({
      deviceName: "Pump house",
      settings: { hosts: [{ host: "127.0.0.1", port: relay.port }] },
    });
    cut.start();
    await connected(cut);
    expect(published(rig, "out", "SUCCESS")).toBe(1);
    expect(published(rig, "out", "FAILURE")).toBe(1);
    expect(gatewayName(rig)).toBe("Pump house");
    expect(await saved()).toMatchObject({ status: "SUCCESS" });
  });

  test("what was saved is used again, and the platform is not asked", async () => {
    await using rig = await unprovisioned();
    const kept = { credentialsType: "ACCESS_TOKEN", credentialsValue: "gw-token" };
    await writeFile(join(dir, ".credentials"), JSON.stringify(kept));
    rig.start();
    await connected(rig);
    expect(gatewayName(rig)).toBe("GW");
    expect(published(rig, "in", "/provision/request")).toBe(0);
  });

  test("waits for a server that is away, by the usual pauses", async () => {
    await using rig = await unprovisioned();
    await rig.server.down();
    rig.start();
    await rig.until("it failed", () => rig.session.state.link === "down");
    expect(rig.session.state.detail).toContain("nothing listens");
    await rig.server.up();
    await connected(rig);
    expect(await saved()).toMatchObject({ status: "SUCCESS" });
  });

  test("credentials that cannot be written are used, said, and written later", async () => {
    await using rig = await unprovisioned({ settings: {} });
    await rm(dir, { recursive: true });
    await writeFile(dir, "in the way");
    rig.start();
    await connected(rig);
    expect(rig.log.messages("error")).toEqual([
      "Cannot save the credentials: a restart would lose them",
    ]);
    await rm(dir);
    rig.server.kick(gatewayName(rig) ?? "", 0x98);
    await rig.until("it was lost", () => rig.session.state.connects === 2);
    expect(await saved()).toMatchObject({ status: "SUCCESS" });
  });
});
