import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsSettings } from "../../src/thingsboard/settings.ts";
import {
  CA,
  CLIENT_CERT,
  CLIENT_KEY,
  OTHER_CA,
  SERVER_CERT,
  SERVER_KEY,
  STRANGER_CERT,
  STRANGER_KEY,
} from "../support/private-ca.ts";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

let dir: string;
let files: Readonly<Record<"ca" | "otherCa" | "cert" | "key", string>>;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tbgw-tls-"));
  const path = (name: string): string => join(dir, name);
  files = { ca: path("ca"), otherCa: path("other-ca"), cert: path("cert"), key: path("key") };
  await writeFile(files.ca, CA);
  await writeFile(files.otherCa, OTHER_CA);
  await writeFile(files.cert, CLIENT_CERT);
  await writeFile(files.key, CLIENT_KEY);
});

afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

const BARE: TlsSettings = {
  caPath: undefined,
  certPath: undefined,
  keyPath: undefined,
  insecure: false,
};
const SERVER = { cert: SERVER_CERT, key: SERVER_KEY };
const STRANGER = { cert: STRANGER_CERT, key: STRANGER_KEY };

/** Waits until a connection has failed, and proves that the server read no MQTT at all. */
async function refused(rig: UplinkRig, text: string): Promise<void> {
  await rig.until("it failed", () => rig.session.state.link === "down");
  expect(rig.session.state.detail).toContain(text);
  expect(rig.server.counters()).toMatchObject({ bytesIn: 0, packetsIn: 0 });
}

describe("TLS", () => {
  test("delivers to a server that the configured CA vouches for", async () => {
    await using rig = await UplinkRig.open({
      server: { tls: SERVER },
      settings: { tls: { ...BARE, caPath: files.ca } },
    });
    await rig.put([telemetry("A", 1_700_000_000_000, 1)]);
    await rig.emptied();
    expect(rig.session.state.protocol).toBe("5");
  });

  test("another CA is refused, and no token reaches the wire", async () => {
    await using rig = await UplinkRig.open({
      server: { tls: SERVER },
      settings: { tls: { ...BARE, caPath: files.otherCa } },
    });
    await refused(rig, "CA certificate");
  });

  test("the system's certificates do not vouch for a private CA", async () => {
    await using rig = await UplinkRig.open({ server: { tls: SERVER }, settings: { tls: BARE } });
    await refused(rig, "CA certificate");
  });

  test("a certificate for another host is refused", async () => {
    await using rig = await UplinkRig.open({
      server: { tls: STRANGER },
      settings: { tls: { ...BARE, caPath: files.ca } },
    });
    await refused(rig, "host name");
  });

  test("only `insecure` takes any certificate", async () => {
    await using rig = await UplinkRig.open({
      server: { tls: STRANGER },
      settings: { tls: { ...BARE, insecure: true } },
    });
    await rig.until("it is connected", () => rig.session.state.link === "connected");
  });

  test("a server without TLS is not spoken to in the clear", async () => {
    await using rig = await UplinkRig.open({ settings: { tls: { ...BARE, caPath: files.ca } } });
    await rig.until("it failed", () => rig.session.state.link === "down");
    expect(rig.server.transcript().some(({ bytes }) => bytes.includes("gw-token"))).toBe(false);
  });

  test("a client certificate is the credential", async () => {
    await using rig = await UplinkRig.open({
      idle: true,
      server: { tls: { ...SERVER, ca: CA, requestCert: true } },
      settings: {
        credentials: { kind: "certificate" },
        tls: { ...BARE, caPath: files.ca, certPath: files.cert, keyPath: files.key },
      },
    });
    rig.server.setCredentials("GW", { type: "X509_CERTIFICATE", certificate: CLIENT_CERT });
    rig.start();
    await rig.until("it is connected", () => rig.session.state.link === "connected");
    expect(rig.server.sessions()[0]?.device).toBe("GW");
  });

  test("a missing certificate file is said and tried again, not fatal", async () => {
    const caPath = join(dir, "later");
    await using rig = await UplinkRig.open({
      server: { tls: SERVER },
      settings: { tls: { ...BARE, caPath } },
    });
    await rig.until("it failed", () => rig.session.state.link === "down");
    expect(rig.session.state.detail).toContain("Cannot read the CA certificate");
    await writeFile(caPath, CA);
    await rig.until("it is connected", () => rig.session.state.link === "connected");
  });
});
