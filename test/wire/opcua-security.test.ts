// The OPC UA connector over secured channels, against a real server.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MessageSecurityMode, SecurityPolicy } from "node-opcua-client";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "../support/connector-host.ts";
import { RunningOpcua } from "../support/opcua-connector.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { until } from "../support/until.ts";

const MAPPING: Json = [
  {
    deviceNodePattern: "ns=2;s=Boiler1",
    deviceInfo: { deviceNameExpression: "B1" },
    timeseries: [{ key: "zone", value: "${Zone(1)}" }],
  },
];

let server: PlantServer;
beforeAll(async () => {
  server = await PlantServer.start({
    securityModes: [
      MessageSecurityMode.None,
      MessageSecurityMode.Sign,
      MessageSecurityMode.SignAndEncrypt,
    ],
    securityPolicies: [
      SecurityPolicy.None,
      SecurityPolicy.Basic256,
      SecurityPolicy.Basic256Sha256,
      SecurityPolicy.Aes128_Sha256_RsaOaep,
      SecurityPolicy.Aes256_Sha256_RsaPss,
    ],
    userManager: {
      isValidUser: (name: string, password: string) => name === "ann" && password === "p@ss",
    },
    allowAnonymous: true,
  });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function start(settings: object, host?: TestHost): Promise<RunningOpcua> {
  return await RunningOpcua.start(
    { server: { url: server.url, timeoutInMillis: 4000, ...settings }, mapping: MAPPING },
    host,
  );
}

/** Waits for a text among the statuses. */
async function trouble(running: RunningOpcua, text: string): Promise<void> {
  await until(text, () => running.host.statuses.some(({ detail }) => detail?.includes(text)));
}

describe.each(["Basic256", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"])(
  "%s",
  (security) => {
    test.each(["Sign", "SignAndEncrypt"])("%s with user and password", async (securityMode) => {
      const identity = { type: "basic", username: "ann", password: "p@ss" };
      await using running = await start({ security, securityMode, identity });
      expect(await running.said("B1", "zone")).toBe(7);
    });
  },
);

test("a user in the address, over an open channel", async () => {
  await using running = await start({ url: server.url.replace("//", "//ann:p%40ss@") });
  expect(await running.said("B1", "zone")).toBe(7);
  expect(JSON.stringify(running.host.lines)).not.toContain("p@ss");
});

test("refused credentials are said once and not tried again at once", async () => {
  const identity = { type: "basic", username: "ann", password: "wrong" };
  await using running = await start({ identity });
  await until("the refusal", () =>
    running.host.lines.some(({ message }) => message === "Link is refused by the peer"),
  );
  const line = running.host.lines.find(({ message }) => message === "Link is refused by the peer");
  expect(line?.fields["retryInMs"]).toBe(60_000);
  expect(JSON.stringify(running.host.lines)).not.toContain("wrong");
});

test("the certificate is made once, for its owner alone", async () => {
  const host = new TestHost();
  const settings = { securityMode: "SignAndEncrypt", security: "Basic256Sha256" };
  {
    await using running = await start(settings, host);
    await running.said("B1", "zone");
    const key = join(host.host.dataDir, "own.key");
    const certificate = join(host.host.dataDir, "own.crt");
    expect(statSync(key).mode & 0o777).toBe(0o600);
    const own = await Bun.file(certificate).text();
    // The identity may use the same files.
    const identity = { type: "cert.PEM", cert: certificate, privateKey: key };
    await using again = await start({ security: "Basic256Sha256", identity });
    expect(await again.said("B1", "zone")).toBe(7);
    expect(await Bun.file(certificate).text()).toBe(own);
  }
});

describe("what cannot be had", () => {
  test("a policy the server has not", async () => {
    await using running = await start({ security: "Basic128Rsa15", securityMode: "Sign" });
    await trouble(running, "The server offers no Basic128Rsa15 with Sign; it offers ");
    expect(running.host.accepted).toEqual([]);
  });

  test("a policy nobody has", async () => {
    await using running = await start({ security: "Basic512", securityMode: "Sign" });
    await trouble(running, '"security" is Basic512');
  });

  test("a file that is not there", async () => {
    const identity = { type: "cert.PEM", cert: "/nowhere/a.crt", privateKey: "/nowhere/a.key" };
    await using running = await start({ security: "Basic256Sha256", identity });
    await trouble(running, "Cannot use the certificate of the identity");
    expect(running.host.accepted).toEqual([]);
  });

  test("a server that is not trusted", async () => {
    const settings = { securityMode: "SignAndEncrypt", trustServerCertificate: false };
    await using running = await start(settings);
    await trouble(running, "is not trusted");
    expect(running.host.accepted).toEqual([]);
  });
});

test("the certificate of the server is pinned", async () => {
  const host = new TestHost();
  const file = join(host.host.dataDir, "server.der");
  writeFileSync(file, server.server.getCertificate());
  const settings = { securityMode: "SignAndEncrypt", serverCertificateFile: file };
  await using running = await start(settings, host);
  expect(await running.said("B1", "zone")).toBe(7);
});

test("a policy without a certificate has no effect, and that is said", async () => {
  await using running = await start({ security: "Basic128Rsa15" });
  expect(await running.said("B1", "zone")).toBe(7);
  const said = running.host.lines.filter(({ message }) => message.includes("is not secured"));
  expect(said).toHaveLength(1);
});
