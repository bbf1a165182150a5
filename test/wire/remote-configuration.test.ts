// A session of the platform's gateway screens against the whole gateway: what it publishes, takes, refuses and acknowledges.
import { describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectorObject, json, RemoteRig, recordOf } from "../support/remote-rig.ts";
import { until } from "../support/until.ts";

/** The general configuration as the platform's form saves it: what it was shown, with a change and a fresh `ts`. */
function general(rig: RemoteRig, change: object, ts: number) {
  return json({ ...recordOf(rig.client("general_configuration")), ...change, ts });
}

describe("the start", () => {
  test("publishes the configuration the forms need, with references and without secrets from the environment", async () => {
    await using rig = await RemoteRig.open({
      env: { TOKEN: "gw-token", TB_GW_CLIENT_ID: "from-env" },
      thingsboard: { security: { type: "accessToken", accessToken: "${env:TOKEN}" } },
    });
    await rig.published();
    expect(rig.client("Version")).toBe("3.8.3");
    expect(rig.client("tbgw_version")).toBeDefined();
    expect(rig.client("active_connectors")).toEqual(["Line 1"]);
    const shown = recordOf(rig.client("general_configuration"));
    expect(shown).toMatchObject({
      host: "127.0.0.1",
      security: { type: "accessToken", accessToken: "${env:TOKEN}" },
      statistics: { enable: true, enableCustom: true, commands: [] },
      ts: expect.any(Number),
    });
    expect(JSON.stringify(shown)).not.toContain("from-env");
    expect(rig.client("storage_configuration")).toMatchObject({ type: "sqlite" });
    expect(rig.client("grpc_configuration")).toMatchObject({ enabled: false, serverPort: 9595 });
    expect(rig.client("logs_configuration")).toMatchObject({
      formatters: { LogFormatter: { format: expect.any(String), datefmt: expect.any(String) } },
    });
    expect(rig.client("Line 1")).toMatchObject({
      name: "Line 1",
      type: "counter",
      configuration: "line1.json",
      configurationJson: { device: "Counter", everyMs: 20 },
      logLevel: "INFO",
      enableRemoteLogging: false,
      ts: expect.any(Number),
    });
    expect(rig.client("tbgw")).toBeUndefined();
  });

  test("takes what was set meanwhile, and does nothing about what it has dealt with", async () => {
    await using rig = await RemoteRig.open({
      shared: {
        active_connectors: ["Line 1", "Line 2"],
        "Line 2": connectorObject("Line 2", { device: "Second" }, { ts: 5 }),
        "Old line": connectorObject("Old line", { device: "Gone" }, { ts: 5 }),
        note: { mine: true },
        plan: { name: "x", type: "y" },
      },
    });
    await rig.acknowledged("Line 2", 5);
    await rig.flows("Second");
    expect(await rig.running()).toEqual(["Line 1", "Line 2"]);
    await rig.stop();
    // A person changes a file while the gateway is off: the platform's old value must not undo that.
    rig.config.write("line_2.json", { ...rig.file("line_2.json"), device: "Third" });
    await rig.start();
    await rig.flows("Third");
    rig.server.kick("GW", 0x98);
    await rig.flows("Third");
    expect(rig.file("line_2.json")["device"]).toBe("Third");
    expect(rig.messages().filter((line) => line.includes("is in force"))).toHaveLength(1);
  });

  test("finds what was pushed while the link was away, also without another list", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    rig.push({ active_connectors: ["Line 1", "Line 2"] });
    await until("the list is known", () =>
      Bun.deepEquals(rig.client("active_connectors"), ["Line 1", "Line 2"]),
    );
    await rig.server.down();
    rig.push({ "Line 1": connectorObject("Line 1", { device: "Missed" }, { ts: 9e12 }) });
    rig.push({ "Line 2": connectorObject("Line 2", { device: "Second" }, { ts: 9e12 }) });
    await rig.server.up();
    await rig.acknowledged("Line 1", 9e12);
    await rig.acknowledged("Line 2", 9e12);
    await rig.flows("Missed");
  });

  test("without connectors remote configuration is on, whatever the file says", async () => {
    await using rig = await RemoteRig.open({
      thingsboard: { remoteConfiguration: false },
      main: { connectors: [] },
    });
    await rig.published();
    rig.push({ "Line 9": connectorObject("Line 9", { device: "Ninth" }, { ts: 1 }) });
    await rig.acknowledged("Line 9", 1);
    await rig.flows("Ninth");
  });

  test("switched off, nothing is published, applied or remembered", async () => {
    await using rig = await RemoteRig.open({ thingsboard: { remoteConfiguration: false } });
    await rig.flows();
    rig.push({ "Line 9": connectorObject("Line 9", { device: "Ninth" }, { ts: 1 }) });
    rig.push({ storage_configuration: { type: "memory", ts: 2 } });
    await rig.flows();
    expect(rig.client("general_configuration")).toBeUndefined();
    expect(rig.hasFile("line_9.json")).toBe(false);
    expect(rig.file("tb_gateway.json")["storage"]).toEqual({ type: "sqlite" });
  });
});

describe("connectors", () => {
  test("are added, changed, renamed, disabled and deleted, each acknowledged as it came", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    const added = connectorObject(
      "Line 2",
      { device: "Second", everyMs: 20, extra: { b: 1, a: [1, 2.5] } },
      {
        id: "11111111-2222-4333-8444-555555555555",
        ts: 100,
        configVersion: "3.8.3",
        mode: "basic",
      },
    );
    rig.push({ "Line 2": added });
    rig.push({ active_connectors: ["Line 1", "Line 2"] });
    expect(await rig.acknowledged("Line 2", 100)).toEqual(recordOf(added));
    await rig.flows("Second");
    expect(rig.file("line_2.json")).toEqual({
      device: "Second",
      everyMs: 20,
      extra: { b: 1, a: [1, 2.5] },
      logLevel: "INFO",
      name: "Line 2",
      enableRemoteLogging: false,
      id: "11111111-2222-4333-8444-555555555555",
      configVersion: "3.8.3",
    });
    expect(statSync(join(rig.config.path, "line_2.json")).mode & 0o777).toBe(0o600);

    const changed = { ...recordOf(added), configurationJson: { device: "Other" }, ts: 200 };
    rig.push({ "Line 2": json(changed) });
    await rig.acknowledged("Line 2", 200);
    await rig.flows("Other");

    const renamed = { ...changed, name: "Line two", ts: 300 };
    rig.push({ "Line two": json(renamed) });
    rig.push({ active_connectors: ["Line 1", "Line two"] });
    await rig.acknowledged("Line two", 300);
    await until("the list is acknowledged", () =>
      Bun.deepEquals(rig.client("active_connectors"), ["Line 1", "Line two"]),
    );
    expect(await rig.running()).toEqual(["Line 1", "Line two"]);
    expect(rig.file("tb_gateway.json")["connectors"]).toEqual([
      { type: "counter", name: "Line 1", configuration: "line1.json" },
      { type: "counter", name: "Line two", configuration: "line_2.json" },
    ]);
    await rig.flows("Other");

    rig.push({ active_connectors: ["Line 1"] });
    await until("it has ended", async () => (await rig.running()).length === 1);
    await until("the list is acknowledged", () =>
      Bun.deepEquals(rig.client("active_connectors"), ["Line 1"]),
    );
    expect(rig.hasFile("line_2.json")).toBe(true);
    rig.server.deleteShared("GW", ["Line two"]);

    rig.push({ active_connectors: [] });
    await until("all have ended", async () => (await rig.running()).length === 0);
    expect(rig.file("tb_gateway.json")).toMatchObject({
      connectors: [],
      tbgw: { allowReboot: false },
      ownKey: { kept: true },
    });
    rig.push({ "Line 1": connectorObject("Line 1", { device: "Again" }, { ts: 400 }) });
    await rig.flows("Again");
  });

  test("an equal object changes nothing, and only its newer ts is acknowledged", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    await rig.flows();
    const shown = recordOf(rig.client("Line 1"));
    const before = statSync(join(rig.config.path, "line1.json")).mtimeMs;
    const ts = Number(shown["ts"]) + 1000;
    rig.push({ "Line 1": json({ ...shown, ts }) });
    await rig.acknowledged("Line 1", ts);
    expect(statSync(join(rig.config.path, "line1.json")).mtimeMs).toBe(before);
    expect(rig.messages()).not.toContain("Connector is replaced");
    expect(rig.file("tb_gateway.json")["connectors"]).toHaveLength(1);
  });

  for (const fails of ["create", "run"]) {
    test(`one that fails in ${fails} is refused with the reason, and the previous version runs on`, async () => {
      await using rig = await RemoteRig.open();
      await rig.published();
      await rig.flows();
      rig.push({ "Line 1": connectorObject("Line 1", { device: "Counter", fails }, { ts: 9e12 }) });
      expect(await rig.refused("Line 1")).toContain("does not start");
      expect(recordOf(rig.client("Line 1"))["ts"]).not.toBe(9e12);
      expect(rig.file("line1.json")).toEqual({ device: "Counter", everyMs: 20 });
      await rig.flows();
      rig.push({
        "Line 1": connectorObject("Line 1", { device: "Counter", everyMs: 10 }, { ts: 9e12 + 1 }),
      });
      await rig.acknowledged("Line 1", 9e12 + 1);
      await until("the error is taken back", () =>
        Bun.deepEquals(rig.client("configuration_errors"), {}),
      );
    });
  }

  test("what cannot be one is refused before any file is touched, and what is no connector is left alone", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    const main = rig.file("tb_gateway.json");
    const refused = {
      "Wrong type": connectorObject("Wrong type", { everyMs: "fast" }),
      "Not here": connectorObject("Not here", { a: 1 }, { type: "bacnet" }),
      "Up and away": connectorObject("Up and away", { a: 1 }, { configuration: "../away.json" }),
      "Main file": connectorObject("Main file", { a: 1 }, { configuration: "tb_gateway.json" }),
      "A level": connectorObject("A level", { a: 1 }, { logLevel: "LOUD" }),
      "Another name": connectorObject("Name", { a: 1 }),
      "A reference": connectorObject("A reference", { password: "${file:/etc/shadow}" }),
    };
    rig.push(refused);
    rig.push({ mode: "advanced", note: { name: "x" }, number: 5, deletedThings: "yes" });
    for (const name of Object.keys(refused)) {
      expect(await rig.refused(name)).not.toBe("");
    }
    expect(await rig.refused("Wrong type")).toContain("everyMs");
    expect(rig.file("tb_gateway.json")).toEqual(main);
    expect(rig.hasFile("wrong_type.json")).toBe(false);
    await rig.flows();
  });
});

describe("general_configuration", () => {
  test("is merged key by key and saved; a wrong type, a reference and an escape are refused with their path", async () => {
    await using rig = await RemoteRig.open({
      env: { TOKEN: "gw-token" },
      thingsboard: { security: { accessToken: "${env:TOKEN}" }, ownKey: 1 },
    });
    await rig.published();
    const push = general(rig, { latencyDebugMode: true, reportStrategy: { type: "DISABLED" } }, 50);
    rig.push({ general_configuration: push });
    expect(await rig.acknowledged("general_configuration", 50)).toEqual(recordOf(push));
    const saved = rig.file("tb_gateway.json");
    expect(saved["thingsboard"]).toMatchObject({
      latencyDebugMode: true,
      reportStrategy: { type: "DISABLED" },
      security: { accessToken: "${env:TOKEN}" },
      ownKey: 1,
    });
    expect(recordOf(saved["thingsboard"])["ts"]).toBeUndefined();
    expect(saved).toMatchObject({ tbgw: { allowReboot: false }, ownKey: { kept: true } });

    const wrong: readonly (readonly [object, string])[] = [
      [{ keep_alive: "long" }, "keep_alive"],
      [{ security: { accessToken: "${env:HOME}" } }, "security.accessToken"],
      [{ proxy_host: "${file:/etc/hostname}" }, "proxy_host"],
      [{ statistics: { configuration: "../../etc/passwd", commands: [] } }, "configuration"],
      [{ statistics: { commands: [{ command: 5 }] } }, "statistics.commands"],
    ];
    for (const [change, path] of wrong) {
      rig.push({ general_configuration: general(rig, change, 60) });
      await until(`${path} is refused`, async () =>
        (await rig.refused("general_configuration")).includes(path),
      );
    }
    expect(rig.file("tb_gateway.json")).toEqual(saved);
    await rig.flows();
  });

  test("lists of statistics commands go into their own file, and no push opens a gate", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    const commands = [{ attributeOnGateway: "CPU", command: "uptime", timeout: 5 }];
    const statistics = { enable: true, configuration: "statistics.json", commands };
    const tbgw = { allowReboot: true, allowRemoteShell: true };
    rig.push({ general_configuration: general(rig, { statistics, tbgw }, 70), tbgw });
    await rig.acknowledged("general_configuration", 70);
    expect(JSON.parse(JSON.stringify(rig.file("tb_gateway.json")["tbgw"]))).toEqual({
      allowReboot: false,
      web: { enabled: false },
    });
    await until("the file is written", () => rig.hasFile("statistics.json"));
    expect(rig.client("general_configuration")).toMatchObject({ statistics: { commands } });
  });
});

describe("the other sections", () => {
  test("storage moves what waits, is saved key by key, and an equal one does nothing", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    await rig.flows();
    rig.push({ storage_configuration: { type: "memory", max_records_count: 5000, ts: 10 } });
    expect(await rig.acknowledged("storage_configuration", 10)).toEqual({
      type: "memory",
      max_records_count: 5000,
      ts: 10,
    });
    expect((await rig.gateway.status()).store.durable).toBe(false);
    await rig.flows();
    rig.push({ storage_configuration: { type: "sqlite", ttlDays: 3, ts: 20 } });
    await rig.acknowledged("storage_configuration", 20);
    expect((await rig.gateway.status()).store.durable).toBe(true);
    expect(rig.file("tb_gateway.json")["storage"]).toEqual({
      type: "sqlite",
      max_records_count: 5000,
      ttlDays: 3,
    });
    await rig.flows();
    rig.push({ storage_configuration: { type: 7, ts: 30 } });
    expect(await rig.refused("storage_configuration")).toContain("storage.type");
    const { ledger } = (await rig.gateway.status()).store;
    expect(ledger.dropped).toEqual({});
    expect(ledger.received).toBe(ledger.stored);
  });

  test("grpc goes round unchanged, logs are saved and acknowledged as they came", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    const grpc = { enabled: true, serverPort: 9999, ts: 10 };
    rig.push({ grpc_configuration: grpc });
    expect(await rig.acknowledged("grpc_configuration", 10)).toEqual(grpc);
    expect(rig.file("tb_gateway.json")["grpc"]).toMatchObject({ enabled: true, serverPort: 9999 });
    const logs = json({
      ...recordOf(rig.client("logs_configuration")),
      root: { level: "DEBUG", handlers: ["consoleHandler"] },
      ts: 20,
    });
    rig.push({ logs_configuration: logs });
    expect(await rig.acknowledged("logs_configuration", 20)).toEqual(recordOf(logs));
    expect(rig.file("logs.json")).toMatchObject({ root: { level: "DEBUG" } });
    rig.push({ logs_configuration: { handlers: "none", ts: 30 } });
    expect(await rig.refused("logs_configuration")).toContain("handlers");
  });

  test("all at once, as the form saves them: one that is wrong costs only itself", async () => {
    await using rig = await RemoteRig.open();
    await rig.published();
    rig.push({
      RemoteLoggingLevel: "INFO",
      mode: "basic",
      general_configuration: general(rig, { latencyDebugMode: true }, 1000),
      storage_configuration: "nonsense",
      grpc_configuration: { enabled: false, serverPort: 1, ts: 1000 },
      active_connectors: ["Line 1", 5],
      "Line 1": connectorObject("Line 1", { device: "Moved" }, { ts: 1000 }),
    });
    await rig.acknowledged("general_configuration", 1000);
    await rig.acknowledged("grpc_configuration", 1000);
    await rig.acknowledged("Line 1", 1000);
    expect(await rig.refused("storage_configuration")).toContain("object");
    expect(await rig.refused("active_connectors")).toContain("list of names");
    await rig.flows("Moved");
  });
});

describe("files that cannot be written", () => {
  test("the push is refused, and everything is as before", async () => {
    await using rig = await RemoteRig.open({ main: { storage: undefined } });
    await rig.published();
    // A directory where the temporary file has to be.
    rig.config.write(`line_2.json.${process.pid}.new/x`, "in the way");
    rig.push({ "Line 2": connectorObject("Line 2", { device: "Second" }, { ts: 1 }) });
    expect(await rig.refused("Line 2")).not.toBe("");
    expect(await rig.running()).toEqual(["Line 1"]);
    expect(rig.file("tb_gateway.json")["connectors"]).toHaveLength(1);
    writeFileSync(join(rig.config.path, "unrelated.txt"), "");
    await rig.flows();
  });
});
