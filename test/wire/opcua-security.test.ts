// The OPC UA connector over secured channels, against a real server.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MessageSecurityMode, SecurityPolicy } from "node-opcua-client";
import type { Json } from "../../src/sdk/model.ts";
import { TestHost } from "../support/connector-host.ts";
import {
  AUTHORITY,
  EXPIRED_CERT,
  GATEWAY_CERT,
  SERVER_CERT,
  SERVER_KEY,
  STRANGER_CERT,
} from "../support/opcua-certificates.ts";
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

describe("the certificate of the server", () => {
  /** Starts a server with this certificate and a connector that trusts what is in these files of its own. */
  const trusting = async (
    certificate: string,
    settings: { readonly ca?: string; readonly pinned?: string; readonly accept?: boolean },
  ): Promise<AsyncDisposable & { readonly running: RunningOpcua; readonly dir: string }> => {
    await using stack = new AsyncDisposableStack();
    const host = new TestHost();
    const dir = host.host.dataDir;
    const write = (name: string, text: string): string => {
      writeFileSync(join(dir, name), text);
      return join(dir, name);
    };
    const plant = stack.use(
      await PlantServer.start({
        certificateFile: write("plant.crt", certificate),
        privateKeyFile: write("plant.key", SERVER_KEY),
        serverInfo: { applicationUri: "urn:plant:server" },
      }),
    );
    const { ca, pinned, accept = false } = settings;
    const identity = ca === undefined ? {} : { caCert: write("ca.crt", ca) };
    const running = stack.use(
      await start(
        {
          url: plant.url,
          securityMode: "SignAndEncrypt",
          trustServerCertificate: accept,
          identity,
          ...(pinned === undefined ? {} : { serverCertificateFile: write("pinned.crt", pinned) }),
        },
        host,
      ),
    );
    const owned = stack.move();
    return { running, dir, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  };

  test.each<[string, string, Parameters<typeof trusting>[1]]>([
    ["issued by an authority that is given", SERVER_CERT, { ca: AUTHORITY }],
    ["given by itself", SERVER_CERT, { pinned: SERVER_CERT }],
    ["given by itself as the authority", SERVER_CERT, { ca: SERVER_CERT }],
    ["of another host, given by itself", STRANGER_CERT, { ca: AUTHORITY, pinned: STRANGER_CERT }],
    ["that anybody may have", SERVER_CERT, { accept: true }],
  ])("%s", async (_name, certificate, settings) => {
    await using made = await trusting(certificate, settings);
    expect(await made.running.said("B1", "zone")).toBe(7);
  });

  test.each<[string, string, Parameters<typeof trusting>[1], readonly string[]]>([
    [
      "of which nothing is known",
      SERVER_CERT,
      {},
      ["is not trusted", '"serverCertificateFile"', '"caCert"'],
    ],
    [
      "that is another one than the one given",
      SERVER_CERT,
      { pinned: STRANGER_CERT },
      ["is not trusted", "neither in DIR/pinned.crt nor issued by what is there"],
    ],
    [
      "that is not issued by the one given, whoever else is accepted",
      SERVER_CERT,
      { ca: GATEWAY_CERT, accept: true },
      ["is not trusted", "DIR/ca.crt"],
    ],
    [
      "that has expired",
      EXPIRED_CERT,
      { ca: AUTHORITY },
      [
        "issued by DIR/ca.crt",
        "to 2020-12-31",
        "renew it on the server",
        '"serverCertificateFile"',
      ],
    ],
    [
      "of another host",
      STRANGER_CERT,
      { ca: AUTHORITY },
      ["issued by DIR/ca.crt", "is for plc-7.plant, not for 127.0.0.1", '"url"'],
    ],
  ])("%s is refused", async (_name, certificate, settings, texts) => {
    await using made = await trusting(certificate, settings);
    const { running, dir } = made;
    for (const text of texts) {
      await trouble(running, text.replace("DIR", dir));
    }
    expect(running.host.accepted).toEqual([]);
  });

  test("from a file that is not there", async () => {
    await using running = await start({
      securityMode: "SignAndEncrypt",
      serverCertificateFile: "/nowhere/server.crt",
    });
    await trouble(running, "Cannot read the certificate /nowhere/server.crt");
  });
});

test("a policy without a certificate has no effect, and that is said", async () => {
  await using running = await start({ security: "Basic128Rsa15" });
  expect(await running.said("B1", "zone")).toBe(7);
  const said = running.host.lines.filter(({ message }) => message.includes("is not secured"));
  expect(said).toHaveLength(1);
});
