import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsSettings } from "../../src/thingsboard/settings.ts";
import { ConnectProxy, type ProxyOptions } from "../support/connect-proxy.ts";
import { freePort } from "../support/ports.ts";
import { CA, OTHER_CA, SERVER_CERT, SERVER_KEY } from "../support/private-ca.ts";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

const TS = 1_700_000_000_000;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tbgw-proxy-"));
  await writeFile(join(dir, "ca"), CA);
  await writeFile(join(dir, "other-ca"), OTHER_CA);
});

afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

const SERVER = { cert: SERVER_CERT, key: SERVER_KEY };

function tls(ca: "ca" | "other-ca"): TlsSettings {
  return { caPath: join(dir, ca), certPath: undefined, keyPath: undefined, insecure: false };
}

function through(proxy: { readonly port: number }): { host: string; port: number } {
  return { host: "127.0.0.1", port: proxy.port };
}

describe("a proxy", () => {
  test("carries a plain connection, and is told the host as it is configured", async () => {
    await using target = await UplinkRig.open({ idle: true });
    const { port } = target.server;
    await using proxy = await ConnectProxy.open({ names: { "platform.example": port } });
    await using rig = await UplinkRig.open({
      settings: { proxy: through(proxy), hosts: [{ host: "platform.example", port: 1883 }] },
    });
    await rig.put(Array.from({ length: 500 }, (_none, n) => telemetry("A", TS + n, n)));
    await rig.emptied();
    expect(proxy.targets).toEqual(["platform.example:1883"]);
    expect(target.server.series("A", "n")).toHaveLength(500);
  });

  test("carries TLS, which is verified against the host behind it", async () => {
    await using target = await UplinkRig.open({ idle: true, server: { tls: SERVER } });
    await using proxy = await ConnectProxy.open({ names: { localhost: target.server.port } });
    const hosts = [{ host: "localhost", port: 8883 }];
    await using rig = await UplinkRig.open({
      settings: { proxy: through(proxy), hosts, tls: tls("ca") },
    });
    await rig.put(Array.from({ length: 500 }, (_none, n) => telemetry("A", TS + n, n)));
    await rig.emptied();
    expect(target.server.series("A", "n")).toHaveLength(500);
    target.server.kick("GW", 0x98);
    await rig.until("it connected again", () => rig.session.state.connects === 2);
    expect(proxy.targets).toEqual(["localhost:8883", "localhost:8883"]);
  });

  test("does not weaken TLS: another CA is refused, and no token is sent", async () => {
    await using target = await UplinkRig.open({ idle: true, server: { tls: SERVER } });
    await using proxy = await ConnectProxy.open({ names: { localhost: target.server.port } });
    await using rig = await UplinkRig.open({
      settings: {
        proxy: through(proxy),
        hosts: [{ host: "localhost", port: 8883 }],
        tls: tls("other-ca"),
      },
    });
    await rig.until("it failed", () => rig.session.state.link === "down");
    expect(rig.session.state.detail).toContain("CA certificate");
    expect(target.server.counters()).toMatchObject({ bytesIn: 0 });
  });

  test.each<[string, ProxyOptions, string]>([
    ["refuses", { refuse: "403 Forbidden" }, "refuses to connect to 127.0.0.1:"],
    ["wants a password", { refuse: "407 Proxy Authentication Required" }, "wants a password"],
    ["is none", { garbage: "SSH-2.0-x\r\n\r\n" }, "does not speak HTTP"],
    ["hangs up", { garbage: "" }, "The proxy closed the connection"],
    ["says nothing", { silent: true }, "no answer"],
  ])("that %s is said in words and tried again", async (_what, options, text) => {
    await using proxy = await ConnectProxy.open(options);
    await using rig = await UplinkRig.open({ settings: { proxy: through(proxy) } });
    await rig.until("it failed", () => rig.session.state.link === "down");
    expect(rig.session.state.detail).toContain(text);
    await rig.until("it tried again", () => proxy.targets.length >= 2);
  });

  test("that is away is named", async () => {
    const port = await freePort();
    await using rig = await UplinkRig.open({ settings: { proxy: through({ port }) } });
    await rig.until("it failed", () => rig.session.state.link === "down");
    expect(rig.session.state.detail).toContain(`Cannot connect to the proxy 127.0.0.1:${port}`);
  });
});
