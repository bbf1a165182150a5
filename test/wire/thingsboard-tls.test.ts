import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsSettings } from "../../src/thingsboard/settings.ts";
import { Greeter } from "../support/greeter.ts";
import {
  CA,
  CLIENT_CERT,
  CLIENT_KEY,
  EXPIRED_CA,
  EXPIRED_CERT,
  EXPIRED_KEY,
  OTHER_CA,
  SERVER_CERT,
  SERVER_KEY,
  STRANGER_CERT,
  STRANGER_KEY,
} from "../support/private-ca.ts";
import { RecordingRelay } from "../support/recording-relay.ts";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

let dir: string;
let files: Readonly<Record<"ca" | "otherCa" | "expiredCa" | "cert" | "key", string>>;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tbgw-tls-"));
  const path = (name: string): string => join(dir, name);
  files = {
    ca: path("ca"),
    otherCa: path("other-ca"),
    expiredCa: path("expired-ca"),
    cert: path("cert"),
    key: path("key"),
  };
  await writeFile(files.ca, CA);
  await writeFile(files.otherCa, OTHER_CA);
  await writeFile(files.expiredCa, EXPIRED_CA);
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
const EXPIRED = { cert: EXPIRED_CERT, key: EXPIRED_KEY };
const STRANGER = { cert: STRANGER_CERT, key: STRANGER_KEY };

/** Options of a server with one version of TLS; the listener hands them to `node:tls` as they are. */
function only(version: "TLSv1.1" | "TLSv1.2" | "TLSv1.3"): object {
  return { minVersion: version, maxVersion: version };
}

/** A session whose every byte is recorded, on its way to a server that speaks TLS or something else. */
async function tapped(options: {
  readonly server?: { readonly cert: string; readonly key: string };
  readonly port?: number;
  readonly tls: TlsSettings;
}): Promise<{ readonly rig: UplinkRig; readonly relay: RecordingRelay } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const { server, port, tls } = options;
  const target = stack.use(
    await UplinkRig.open({
      idle: true,
      ...(server === undefined ? {} : { server: { tls: server } }),
    }),
  );
  const relay = stack.use(await RecordingRelay.open(port ?? target.server.port));
  const rig = stack.use(
    await UplinkRig.open({ settings: { hosts: [{ host: "127.0.0.1", port: relay.port }], tls } }),
  );
  const owned = stack.move();
  return { rig, relay, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Waits until it has failed more than once, and proves that nothing of MQTT was said, a token least of all. */
async function refused(
  { rig, relay }: { readonly rig: UplinkRig; readonly relay: RecordingRelay },
  text: string,
): Promise<void> {
  await rig.until("it tried again", () => relay.connections >= 3);
  await rig.until("it failed", () => rig.session.state.link === "down");
  expect(rig.session.state.detail).toContain(text);
  expect(relay.heard.length).toBeGreaterThan(0);
  expect(relay.heard.includes("gw-token")).toBe(false);
  expect(relay.heard.includes("MQTT")).toBe(false);
  expect(rig.session.state.connects).toBe(0);
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

  test("what is sent cannot be read on the way", async () => {
    await using line = await tapped({ server: SERVER, tls: { ...BARE, caPath: files.ca } });
    await line.rig.until("it is connected", () => line.rig.session.state.link === "connected");
    expect(line.relay.heard.length).toBeGreaterThan(300);
    expect(line.relay.heard.includes("gw-token")).toBe(false);
  });

  test("another CA is refused, and no token reaches the wire", async () => {
    await using line = await tapped({ server: SERVER, tls: { ...BARE, caPath: files.otherCa } });
    await refused(line, "not from a CA that is trusted here");
  });

  test("the system's certificates do not vouch for a private CA", async () => {
    await using line = await tapped({ server: SERVER, tls: BARE });
    await refused(line, "CA certificate");
  });

  test("a certificate for another host is refused", async () => {
    await using line = await tapped({ server: STRANGER, tls: { ...BARE, caPath: files.ca } });
    await refused(line, "for another host name");
  });

  test("an expired certificate is refused", async () => {
    await using line = await tapped({ server: EXPIRED, tls: { ...BARE, caPath: files.expiredCa } });
    await refused(line, "has expired");
  });

  test("a server that speaks MQTT without TLS is not spoken to in the clear", async () => {
    await using line = await tapped({ tls: { ...BARE, caPath: files.ca } });
    await refused(line, "TLS");
  });

  test("a server that answers TLS with something else is named", async () => {
    await using greeter = await Greeter.open("220 mail.example ESMTP\r\n");
    await using line = await tapped({ port: greeter.port, tls: { ...BARE, caPath: files.ca } });
    await refused(line, "does not speak TLS on that port");
  });

  test("a server that answers TLS with nothing at all is given up", async () => {
    await using greeter = await Greeter.open("");
    await using line = await tapped({ port: greeter.port, tls: { ...BARE, caPath: files.ca } });
    await refused(line, "no answer in TLS");
  });

  test.each([
    ["TLSv1.1", 0],
    ["TLSv1.2", 1],
    ["TLSv1.3", 1],
  ] as const)("of a server with nothing but %s makes %d sessions", async (version, connects) => {
    await using rig = await UplinkRig.open({
      server: { tls: { ...SERVER, ...only(version) } },
      settings: { tls: { ...BARE, caPath: files.ca } },
    });
    await rig.until("it knows", () => ["connected", "down"].includes(rig.session.state.link));
    expect(rig.session.state.connects).toBe(connects);
  });

  test("only `insecure` takes any certificate", async () => {
    await using rig = await UplinkRig.open({
      server: { tls: STRANGER },
      settings: { tls: { ...BARE, insecure: true } },
    });
    await rig.until("it is connected", () => rig.session.state.link === "connected");
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

  test.each([
    ["no certificate", "no key", CA, "client certificate"],
    [CLIENT_CERT, "no key", CA, "is no private key"],
    [CLIENT_CERT, SERVER_KEY, CA, "does not belong to"],
    [CLIENT_CERT, CLIENT_KEY, "no certificate", "CA certificate"],
    [CLIENT_CERT, CLIENT_KEY, "", "is no certificate in PEM"],
  ])("a file that cannot be used is named (case %#)", async (cert, key, ca, text) => {
    const path = (name: string): string => join(dir, `bad-${name}`);
    await writeFile(path("cert"), cert);
    await writeFile(path("key"), key);
    await writeFile(path("ca"), ca);
    await using line = await tapped({
      server: SERVER,
      tls: { caPath: path("ca"), certPath: path("cert"), keyPath: path("key"), insecure: false },
    });
    await line.rig.until("it failed", () => line.rig.session.state.link === "down");
    expect(line.rig.session.state.detail).toContain(text);
    expect(line.rig.session.state.detail).toContain(path(""));
    expect(line.relay.connections).toBe(0);
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
