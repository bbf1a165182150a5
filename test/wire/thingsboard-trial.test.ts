// One connection to the platform, as `tbgw init` makes it: what works, and in which words it fails.
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { trialAdvice } from "../../src/commands/init/platform-json.ts";
import { ThingsBoardDouble, type ThingsBoardOptions } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { SessionSettings } from "../../src/thingsboard/settings.ts";
import { type TrialHost, type TrialResult, tryConnection } from "../../src/thingsboard/trial.ts";
import { fastClock } from "../support/fast-clock.ts";
import { Greeter } from "../support/greeter.ts";
import { memoryLog } from "../support/memory-log.ts";
import { freePort } from "../support/ports.ts";
import { CA, OTHER_CA, SERVER_CERT, SERVER_KEY } from "../support/private-ca.ts";
import { temporaryDir } from "../support/temporary-dir.ts";

const never = new AbortController().signal;

async function platform(options: Partial<ThingsBoardOptions> = {}): Promise<ThingsBoardDouble> {
  const double = await ThingsBoardDouble.listen({ clock: systemClock, ...options });
  double.createGateway("GW", "gw-token");
  double.createDevice("Plain", undefined, "plain-token");
  return double;
}

function settings(port: number, more: Partial<SessionSettings> = {}): SessionSettings {
  return {
    hosts: [{ host: "127.0.0.1", port }],
    keepAliveSeconds: 60,
    credentials: { kind: "accessToken", accessToken: "gw-token" },
    tls: undefined,
    maxPayloadBytes: undefined,
    ...more,
  };
}

async function tried(
  wanted: SessionSettings,
  host: Partial<TrialHost> & { readonly speed?: number } = {},
): Promise<TrialResult> {
  const { speed = 1, ...rest } = host;
  const { log } = memoryLog();
  return await tryConnection(wanted, { clock: fastClock(speed), log, ...rest }, never);
}

function tls(caPath: string | undefined): SessionSettings["tls"] {
  return { caPath, certPath: undefined, keyPath: undefined, insecure: false };
}

/** What failed, with the advice that a person gets for it. */
function words(result: TrialResult, place: { readonly port: number; readonly tls?: boolean }) {
  if (result.ok) {
    throw new Error("It should have failed");
  }
  const { step, state, message } = result;
  const advice = trialAdvice(result, { host: "tb.plant", tls: false, ...place });
  return { step, state, message, advice };
}

describe("tryConnection()", () => {
  test("is let in, is taken for a gateway, and leaves nothing behind", async () => {
    await using double = await platform();
    const devices = double.devices();
    expect(await tried(settings(double.port))).toEqual({
      ok: true,
      host: `127.0.0.1:${double.port}`,
      protocol: "5",
      isGateway: true,
      isShared: false,
    });
    await double.until(() => double.sessions().length === 0);
    expect(double.devices()).toEqual(devices);
  });

  test("goes through all hosts and addresses", async () => {
    await using double = await platform();
    const dead = await freePort();
    const hosts = [
      { host: "away.example", port: 1 },
      { host: "127.0.0.1", port: dead },
      { host: "two.example", port: double.port },
    ];
    const lookup = async (host: string): Promise<readonly string[]> =>
      host === "two.example"
        ? await Promise.resolve(["127.0.0.9", "127.0.0.1"])
        : await Promise.reject(new Error("ENOTFOUND"));
    const result = await tried(settings(double.port, { hosts }), { lookup });
    expect(result).toMatchObject({ ok: true, isGateway: true });
  });

  test("tells a device without the gateway flag", async () => {
    await using double = await platform();
    const credentials = { kind: "accessToken", accessToken: "plain-token" } as const;
    const result = await tried(settings(double.port, { credentials }), { speed: 20 });
    expect(words(result, { port: double.port })).toMatchObject({
      step: "messages",
      state: "not-a-gateway",
      message: expect.stringContaining('tick "Is gateway"'),
    });
  });

  test("tells another client with the same credentials from credentials that are refused", async () => {
    await using double = await platform();
    double.faults.publish({ action: "hold" }, { topic: "v1/gateway/disconnect" });
    const result = tried(settings(double.port));
    await double.until(() => double.sessions().some(({ filters }) => filters.length > 0));
    double.kick("GW", 0x8e);
    expect(await result).toMatchObject({ ok: true, isGateway: "unknown", isShared: true });
  });

  test("tells a bad token, after one attempt", async () => {
    await using double = await platform();
    const credentials = { kind: "accessToken", accessToken: "wrong" } as const;
    const result = await tried(settings(double.port, { credentials }));
    expect(words(result, { port: double.port })).toMatchObject({
      step: "connect",
      state: "refused",
      message: expect.stringContaining("check the access token"),
      advice: expect.stringContaining("Manage credentials"),
    });
  });

  test("shows a gateway without credentials to the door and asks for none", async () => {
    await using double = await platform();
    using dir = temporaryDir();
    const request = {
      deviceKey: "k",
      deviceSecret: "s",
      deviceName: undefined,
      wanted: { kind: "accessToken", accessToken: undefined },
    } as const;
    const credentials = { kind: "provisioning", request, dataDir: dir.path } as const;
    const result = await tried(settings(double.port, { credentials }));
    expect(result).toMatchObject({ ok: true, isGateway: "unknown" });
  });

  test("tells a name that is not found", async () => {
    const lookup = async (): Promise<never> => await Promise.reject(new Error("ENOTFOUND"));
    const hosts = [{ host: "tb.plant", port: 1883 }];
    const result = await tried(settings(1883, { hosts }), { lookup });
    expect(words(result, { port: 1883 })).toMatchObject({
      step: "address",
      state: "down",
      message: expect.stringContaining("Cannot find the address of tb.plant"),
      advice: expect.stringContaining("Check the spelling of tb.plant"),
    });
  });

  test("tells a port where nothing listens", async () => {
    const port = await freePort();
    expect(words(await tried(settings(port)), { port })).toMatchObject({
      step: "connect",
      message: expect.stringContaining("nothing listens on that port"),
      advice: expect.stringContaining("1883, with TLS on 8883"),
    });
  });

  test("tells a server that takes the connection and says nothing", async () => {
    await using silent = await Greeter.open("");
    const result = await tried(settings(silent.port), { speed: 20 });
    expect(words(result, { port: silent.port })).toMatchObject({
      step: "connect",
      state: "down",
      message: "Connected, but the server does not answer CONNECT",
      advice: expect.stringContaining("is not an MQTT server"),
    });
  });

  test("tells a web server from an MQTT server", async () => {
    const web = createServer((_request, response) => response.end("hello"));
    const { promise, resolve } = Promise.withResolvers<void>();
    web.listen(0, "127.0.0.1", () => resolve());
    await promise;
    const address = web.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    try {
      const result = await tried(settings(port), { speed: 20 });
      expect(words(result, { port })).toMatchObject({
        step: "connect",
        advice: expect.stringContaining("is not an MQTT server"),
      });
    } finally {
      web.closeAllConnections();
      web.close();
    }
  });

  test("tells a certificate that nobody here vouches for, and a port without TLS", async () => {
    using dir = temporaryDir();
    const [ca, other] = [join(dir.path, "ca.pem"), join(dir.path, "other.pem")];
    writeFileSync(ca, CA);
    writeFileSync(other, OTHER_CA);
    await using double = await platform({ tls: { cert: SERVER_CERT, key: SERVER_KEY } });
    const place = { port: double.port, tls: true };
    expect(await tried(settings(double.port, { tls: tls(ca) }))).toMatchObject({ ok: true });
    for (const path of [other, undefined]) {
      const result = await tried(settings(double.port, { tls: tls(path) }));
      expect(words(result, place)).toMatchObject({
        step: "connect",
        message: expect.stringContaining("not from a CA that is trusted here"),
        advice: expect.stringContaining("CA file"),
      });
    }
    await using plain = await platform();
    const wrong = await tried(settings(plain.port, { tls: tls(ca) }), { speed: 5 });
    expect(words(wrong, { port: plain.port, tls: true })).toMatchObject({
      step: "connect",
      message: expect.stringMatching(/TLS/),
    });
  });
});
