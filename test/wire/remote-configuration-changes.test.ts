// Changes that could cost the way to the gateway: another connection, edited files, and what comes after a restart.
import { describe, expect, test } from "bun:test";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Revisions } from "../../src/config/revisions.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { freePort } from "../support/ports.ts";
import {
  clientOf,
  connectorObject,
  json,
  platform,
  RemoteRig,
  recordOf,
} from "../support/remote-rig.ts";
import { until } from "../support/until.ts";

function general(rig: RemoteRig, change: object, ts: number) {
  return json({ ...recordOf(rig.client("general_configuration")), ...change, ts });
}

/** The main file with another section `thingsboard`. */
function edited(rig: RemoteRig, change: object): object {
  const main = rig.file("tb_gateway.json");
  return { ...main, thingsboard: { ...recordOf(main["thingsboard"]), ...change } };
}

/** The values of a device that arrived, in order, without repeats. */
function arrived(...servers: readonly { series: RemoteRig["server"]["series"] }[]): number[] {
  const all = servers.flatMap((server) => server.series("Counter", "n"));
  return [...new Set(all.map(({ text }) => Number(text)))];
}

function isGapless(values: readonly number[]): boolean {
  return values.every((value, index) => index === 0 || value === (values[index - 1] ?? 0) + 1);
}

describe("another connection from the platform", () => {
  test("is proven first, then in force, saved and acknowledged there; nothing is lost on the way", async () => {
    await using rig = await RemoteRig.open();
    await using next = await platform();
    await rig.published();
    await rig.flows();
    const push = general(rig, { port: next.port }, 100);
    rig.push({ general_configuration: push });
    await until("it is acknowledged over there", () =>
      Bun.deepEquals(clientOf(next, "general_configuration"), push),
    );
    await rig.flows("Counter", next);
    expect(recordOf(rig.file("tb_gateway.json")["thingsboard"])["port"]).toBe(next.port);
    await until("the whole configuration is published there", () =>
      Bun.deepEquals(clientOf(next, "active_connectors"), ["Line 1"]),
    );
    await rig.stop();
    expect(isGapless(arrived(rig.server, next))).toBe(true);
  });

  for (const [what, change] of [
    ["credentials that are refused", { security: { type: "accessToken", accessToken: "wrong" } }],
    ["a host that is not there", { host: "127.0.0.1", port: 9 }],
    [
      "a certificate that does not fit",
      {
        security: {
          type: "tlsAccessToken",
          accessToken: "x",
          caCert: "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
        },
      },
    ],
  ] as const) {
    test(`with ${what} is taken back: nothing is saved, the platform sees the one in use and why`, async () => {
      await using rig = await RemoteRig.open({ trialMs: 2000 });
      await rig.published();
      await rig.flows();
      const before = readFileSync(join(rig.config.path, "tb_gateway.json"), "utf8");
      const shown = recordOf(rig.client("general_configuration"));
      const startMs = systemClock.monotonicMs();
      rig.push({ general_configuration: general(rig, change, 9e12) });
      expect(await rig.refused("general_configuration")).not.toBe("");
      expect(systemClock.monotonicMs() - startMs).toBeLessThan(10_000);
      expect(rig.client("general_configuration")).toEqual(shown);
      expect(readFileSync(join(rig.config.path, "tb_gateway.json"), "utf8")).toBe(before);
      await rig.flows();
      // Shown again at a reconnect it is not tried again.
      rig.server.kick("GW", 0x98);
      await rig.flows();
      expect(
        rig.messages("error").filter((line) => line.startsWith("Configuration of the")),
      ).toHaveLength(1);
      expect(isGapless(arrived(rig.server))).toBe(true);
    });
  }

  test("of the same device is replaced in place", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    await rig.flows();
    rig.push({ general_configuration: general(rig, { keep_alive: 33 }, 100) });
    await rig.acknowledged("general_configuration", 100);
    await rig.flows();
    expect(isGapless(arrived(rig.server))).toBe(true);
  });
});

describe("a connection that was changed while the gateway was off", () => {
  test("and does not work gives way to the newest one that did, in the file too", async () => {
    await using rig = await RemoteRig.open({ fallbackAfterMs: 500, trialMs: 5000 });
    await rig.published();
    await rig.flows();
    await rig.stop();
    rig.config.write("tb_gateway.json", edited(rig, { port: 9, latencyDebugMode: true }));
    await rig.start();
    expect(await rig.refused("general_configuration")).toContain("did not work");
    await rig.flows();
    await until("the file has the connection that works", () => {
      const { port, latencyDebugMode } = recordOf(rig.file("tb_gateway.json")["thingsboard"]);
      return port === rig.server.port && latencyDebugMode === true;
    });
  });

  test("and works is left alone", async () => {
    await using rig = await RemoteRig.open({ fallbackAfterMs: 500 });
    await using next = await platform();
    await rig.published();
    await rig.stop();
    rig.config.write("tb_gateway.json", edited(rig, { port: next.port }));
    await rig.start();
    await rig.flows("Counter", next);
    expect(recordOf(rig.file("tb_gateway.json")["thingsboard"])["port"]).toBe(next.port);
    expect(rig.messages("error")).toEqual([]);
  });
});

describe("files that are edited", () => {
  test("are taken at once: a connector is changed, added and removed, and the platform is told", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    await rig.flows();
    rig.config.write("line1.json", { device: "Edited", everyMs: 20 });
    await rig.flows("Edited");
    rig.config.write("line2.json", { device: "Second", everyMs: 20 });
    rig.config.write("tb_gateway.json", {
      ...rig.file("tb_gateway.json"),
      connectors: [{ type: "counter", name: "Line 2", configuration: "line2.json" }],
    });
    await rig.flows("Second");
    expect(await rig.running()).toEqual(["Line 2"]);
    await until("the platform is told", () =>
      Bun.deepEquals(rig.client("active_connectors"), ["Line 2"]),
    );
    expect(rig.client("Line 2")).toMatchObject({ configurationJson: { device: "Second" } });
  });

  test("open and shut the gates of this machine, move its web server, and decide over names at once", async () => {
    await using rig = await RemoteRig.open();
    await rig.flows();
    const port = await freePort();
    const write = (thingsboard: object, tbgw: object): void =>
      rig.config.write("tb_gateway.json", { ...edited(rig, thingsboard), tbgw });
    const shell = async (): Promise<string> => await rig.server.rpc("GW", "getTermInfo", null);
    const page = async (): Promise<number> =>
      await fetch(`http://127.0.0.1:${port}/healthz`).then(
        ({ status }) => status,
        () => 0,
      );
    expect(await shell()).toContain("not allowed");
    rig.server.renameDevice("Counter", "Renamed");
    await rig.flows("Renamed");
    const open = { allowRemoteShell: true, web: { enabled: true, host: "127.0.0.1", port } };
    write({ remoteShell: true, handleDeviceRenaming: false }, open);
    await until("the shell is open", async () => (await shell()).includes('"platform"'));
    await until("the page is there", async () => (await page()) === 200);
    await rig.flows("Counter");
    write({ remoteShell: true, handleDeviceRenaming: true }, { web: { enabled: false } });
    await until("the shell is shut", async () => (await shell()).includes("not allowed"));
    await until("the page is gone", async () => (await page()) === 0);
    await rig.flows("Renamed");
    expect(rig.messages("info").join()).not.toContain("next start");
  });

  test("in the way editors do it: another file in its place", async () => {
    await using rig = await RemoteRig.open();
    await rig.flows();
    const file = join(rig.config.path, "line1.json");
    for (const device of ["First edit", "Second edit"]) {
      writeFileSync(`${file}.swp`, JSON.stringify({ device, everyMs: 20 }));
      renameSync(`${file}.swp`, file);
      await rig.flows(device);
    }
  });

  test("and broken keep what runs, with the place of the mistake; repaired, they are taken", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    await rig.flows();
    const main = rig.file("tb_gateway.json");
    rig.config.write("line1.json", '{ "device": ');
    await until("the mistake is named", () =>
      rig.log.some(({ fields }) => String(fields["file"]).endsWith("line1.json")),
    );
    await rig.flows();
    rig.config.write("tb_gateway.json", '{ "thingsboard": { "host" }');
    await until("the main file is refused", () =>
      rig.messages("error").some((line) => line.includes("goes on with the one before")),
    );
    await rig.flows();
    rmSync(join(rig.config.path, "tb_gateway.json"));
    process.emit("SIGHUP", "SIGHUP");
    await rig.flows();
    rig.config.write("tb_gateway.json", main);
    rig.config.write("line1.json", { device: "Repaired", everyMs: 20 });
    process.emit("SIGHUP", "SIGHUP");
    await rig.flows("Repaired");
  });

  test("with a connection that does not work keep the one in use", async () => {
    await using rig = await RemoteRig.open({ trialMs: 1000 });
    await rig.published();
    await rig.flows();
    rig.config.write("tb_gateway.json", edited(rig, { port: 9 }));
    await until("it is refused", () =>
      rig.messages("error").some((line) => line.includes("the one before goes on")),
    );
    await rig.flows();
    // A push about something else still works; the connection in the file is not tried again for it.
    rig.push({ "Line 3": connectorObject("Line 3", { device: "Third" }, { ts: 5 }) });
    await rig.acknowledged("Line 3", 5);
    await rig.flows("Third");
  });

  test("leave revisions, with who made them", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    rig.push({ "Line 1": connectorObject("Line 1", { device: "Pushed" }, { ts: 9e12 }) });
    await rig.acknowledged("Line 1", 9e12);
    rig.config.write("line1.json", { device: "Edited" });
    const revisions = new Revisions(rig.data.path, rig.config.path);
    await until("it is kept", () => revisions.list("line1.json").length === 3);
    const kept = revisions.list("line1.json").map((one) => {
      const content: unknown = JSON.parse(revisions.read(one));
      return [one.source, recordOf(content)["device"]];
    });
    expect(kept).toEqual([
      ["local", "Edited"],
      ["remote", "Pushed"],
      ["local", "Counter"],
    ]);
  });
});
