import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { connectorId } from "../../../src/config/connector-id.ts";
import type { ConnectorExtensions } from "../../../src/config/connectors.ts";
import { type LoadOptions, loadConfiguration } from "../../../src/config/load.ts";
import { ExtensionCatalogue } from "../../../src/extension/catalogue.ts";
import { required } from "../../../src/sdk/config.ts";
import { type ConnectorSpec, defineConnector } from "../../../src/sdk/connector.ts";
import type { StandardSchema } from "../../../src/sdk/standard-schema.ts";
import { testConnectors } from "../../support/config-connectors.ts";
import { ConfigFiles } from "../../support/config-files.ts";
import { connectorText, writeExtensions } from "../../support/extension-files.ts";
import { memoryLog } from "../../support/memory-log.ts";

const PLATFORM = { host: "a", security: { accessToken: "t0ken" } };

function load(files: ConfigFiles, more: Partial<LoadOptions> = {}) {
  const { path } = files;
  const base = { configDir: path, dataDir: join(path, "data"), env: {}, cwd: path };
  return loadConfiguration({ ...base, connectorTypes: testConnectors, ...more });
}

function main(connectors: readonly object[] = [], more: object = {}): object {
  return { thingsboard: PLATFORM, connectors, ...more };
}

const BUS = { type: "bus", name: "Bus", configuration: "bus.json" };
const BUS_FILE = { broker: { host: "b" }, devices: [{ name: "A" }] };

function extension(name: string | undefined, more: Partial<ConnectorSpec<StandardSchema>> = {}) {
  return defineConnector<StandardSchema>({
    type: "meter",
    ...(name === undefined ? {} : { name }),
    schema: v.looseObject({}),
    create: () => {
      throw new Error("not started here");
    },
    ...more,
  });
}

/** Extensions that are there already, by their `class`. */
function provided(...definitions: readonly ReturnType<typeof extension>[]): ConnectorExtensions {
  const at = { file: "/x/meter.ts", sha256: "0" };
  return {
    find: async (_kind, type, name) => {
      const definition = definitions.find((one) => one.type === type && one.name === name);
      return await Promise.resolve(definition && { definition, ...at });
    },
    known: () => definitions.flatMap(({ name }) => name ?? []),
  };
}

describe("loadConfiguration", () => {
  test("a directory without the main file is fatal, and nothing is thrown", async () => {
    using files = new ConfigFiles();
    const loaded = await load(files);
    expect(loaded).toMatchObject({ fatal: true, session: undefined, connectors: [] });
    expect(loaded.issues).toMatchObject([{ severity: "error", path: "$" }]);
  });

  test("a main file that is no object is fatal", async () => {
    using files = new ConfigFiles({ "tb_gateway.json": "[]" });
    expect(await load(files)).toMatchObject({
      fatal: true,
      issues: [{ message: "the file must hold one object" }],
    });
  });

  test("logs.json that has not changed is the same to a reload, and one that has is not", async () => {
    const logs = { formatters: { F: { format: "%(message)s" } }, root: { level: "INFO" } };
    using files = new ConfigFiles({ "tb_gateway.json": main(), "logs.json": logs });
    using changed = new ConfigFiles({ "tb_gateway.json": main(), "logs.json": { ...logs, ts: 1 } });
    const first = (await load(files)).logs;
    expect(first.plan?.root.level).toBe("info");
    expect((await load(files)).logs.raw).toEqual(first.raw);
    expect((await load(changed)).logs.raw).not.toEqual(first.raw);
  });

  test("writes nothing: every file and the directory are the same afterwards", async () => {
    using files = new ConfigFiles({ "tb_gateway.json": main([BUS]), "bus.json": BUS_FILE });
    const before = readFileSync(join(files.path, "bus.json"), "utf8");
    await load(files);
    expect(readdirSync(files.path).toSorted()).toEqual(["bus.json", "tb_gateway.json"]);
    expect(readFileSync(join(files.path, "bus.json"), "utf8")).toBe(before);
  });

  test("a connector's configuration is typed, frozen, and has its id and name", async () => {
    using files = new ConfigFiles({ "tb_gateway.json": main([BUS]), "bus.json": BUS_FILE });
    const [connector] = (await load(files)).connectors;
    expect(connector).toMatchObject({
      state: "ready",
      id: connectorId("bus", "Bus"),
      file: join(files.path, "bus.json"),
      config: { id: connectorId("bus", "Bus"), name: "Bus", broker: { port: 502 } },
    });
    const config: unknown = connector?.config;
    expect(Object.isFrozen(config)).toBe(true);
  });

  test("the id of a connector is the same at every start and differs by name", async () => {
    const entries = [BUS, { ...BUS, name: "Other" }];
    using files = new ConfigFiles({ "tb_gateway.json": main(entries), "bus.json": BUS_FILE });
    const ids = async () => (await load(files)).connectors.map(({ id }) => id);
    const first = await ids();
    expect(await ids()).toEqual(first);
    expect(new Set(first).size).toBe(2);
  });

  test("the name of the entry replaces the file's", async () => {
    const file = { ...BUS_FILE, name: "Old name" };
    using files = new ConfigFiles({ "tb_gateway.json": main([BUS]), "bus.json": file });
    const [connector] = (await load(files)).connectors;
    expect(connector).toMatchObject({ name: "Bus", config: { name: "Bus" }, issues: [] });
  });

  test("the keys of every connector file reach the core", async () => {
    const file = {
      ...BUS_FILE,
      logLevel: "debug",
      enableRemoteLogging: true,
      reportStrategy: { type: "ON_REPORT_PERIOD" },
    };
    using files = new ConfigFiles({ "tb_gateway.json": main([BUS]), "bus.json": file });
    const [connector] = (await load(files)).connectors;
    expect(connector).toMatchObject({
      logLevel: "debug",
      enableRemoteLogging: true,
      reportStrategy: { type: "ON_REPORT_PERIOD" },
    });
  });

  test("the strategy of an older form of a connector file counts once it is upgraded", async () => {
    const upgrade = () => ({ reportStrategy: { type: "ON_CHANGE" } });
    const extensions = provided(extension(undefined, { upgrade }));
    const entry = { type: "meter", name: "M", configuration: "m.json" };
    using files = new ConfigFiles({ "tb_gateway.json": main([entry]), "m.json": { old: true } });
    const { connectors } = await load(files, { extensions });
    expect(connectors[0]).toMatchObject({ reportStrategy: { type: "ON_CHANGE" } });
  });

  test.each([
    ["{}", "ready"],
    ['{"logLevel": "DEBUG", "id": "x"}', "ready"],
    ["", "invalid"],
    [" \n", "invalid"],
    ["{", "invalid"],
    ["[]", "invalid"],
  ])("a connector of an extension needs no settings: %j is %s", async (text, state) => {
    const entry = { type: "meter", name: "M", configuration: "m.json" };
    using files = new ConfigFiles({ "tb_gateway.json": main([entry]), "m.json": text });
    const { connectors } = await load(files, { extensions: provided(extension(undefined)) });
    expect(connectors.map((one): string => one.state)).toEqual([state]);
  });

  test("a connector of an extension whose schema asks for something says what its empty file lacks", async () => {
    const entry = { type: "meter", name: "M", configuration: "m.json" };
    using files = new ConfigFiles({ "tb_gateway.json": main([entry]), "m.json": {} });
    const schema = v.looseObject({ port: required(v.string(), { doc: "Port." }) });
    const { connectors, issues } = await load(files, {
      extensions: provided(extension(undefined, { schema })),
    });
    expect(connectors.map((one) => one.state)).toEqual(["invalid"]);
    expect(issues.map(({ message }) => message)).toEqual(['"port" is missing']);
  });

  test("an extension takes the type nothing else has, by class, by no name, or as the only one", async () => {
    const named = [
      { type: "meter", name: "1", class: "A", configuration: "m.json" },
      { type: "Meter", name: "2", class: "Other", configuration: "m.json" },
    ];
    using files = new ConfigFiles({ "tb_gateway.json": main(named), "m.json": { x: 1 } });
    const root = join(files.path, "extensions");
    const extensions = new ExtensionCatalogue({
      roots: [root],
      log: memoryLog().log,
      allowInsecure: false,
    });
    const text = (name?: string): string =>
      connectorText({ type: "meter", ...(name === undefined ? {} : { name }) });
    writeExtensions(root, { "meter/all.ts": text(), "meter/a.ts": text("A") });
    const { connectors } = await load(files, { extensions });
    expect(connectors).toMatchObject([
      { state: "ready", definition: { name: "A" }, extension: { file: join(root, "meter/a.ts") } },
      { state: "ready", extension: { file: join(root, "meter/all.ts") } },
    ]);
    files.write("tb_gateway.json", main([{ type: "meter", name: "3", configuration: "m.json" }]));
    writeExtensions(root, { "meter/all.ts": text("B") });
    const several = await load(files, { extensions });
    expect(several.connectors).toMatchObject([{ state: "invalid" }]);
    expect(several.issues[0]?.message).toContain("several extensions");
    writeExtensions(root, { "meter/all.ts": "}" });
    expect((await load(files, { extensions })).connectors).toMatchObject([{ state: "ready" }]);
    files.write("tb_gateway.json", main([{ ...named[0], class: "Aa" }]));
    const broken = await load(files, { extensions });
    expect(broken.issues[0]?.message).toContain(`${join(root, "meter/all.ts")}: line 1: `);
    writeExtensions(root, { "meter/all.ts": "" });
    const absent = await load(files, { extensions });
    expect(absent.connectors).toMatchObject([{ state: "skipped" }]);
    expect(absent.issues[0]?.message).toContain('did you mean "A"?');
  });

  test("a connector inside the program goes before an extension, unless that says otherwise", async () => {
    using files = new ConfigFiles({ "tb_gateway.json": main([BUS]), "bus.json": BUS_FILE });
    const root = join(files.path, "extensions");
    const log = memoryLog();
    const extensions = new ExtensionCatalogue({
      roots: [root],
      log: log.log,
      allowInsecure: false,
    });
    writeExtensions(root, { "bus/bus.ts": connectorText({ type: "bus" }) });
    const originOf = async () => (await load(files, { extensions })).connectors[0];
    expect(await originOf()).toMatchObject({ state: "ready", extension: undefined });
    const more = "overridesBuiltin: true,";
    writeExtensions(root, { "bus/bus.ts": connectorText({ type: "bus", more }) });
    expect(await originOf()).toMatchObject({ extension: { file: join(root, "bus/bus.ts") } });
    expect(log.messages("warn")).toEqual([
      "An extension takes the place of a part of this program",
    ]);
  });

  test("an upgrade or a check that throws costs that connector only", async () => {
    const fail = () => {
      throw new Error("bad day");
    };
    const broken: StandardSchema = {
      "~standard": { version: 1, vendor: "test", validate: fail },
    };
    const entry = (name: string) => ({
      type: "meter",
      name,
      class: name,
      configuration: "m.json",
    });
    using files = new ConfigFiles({
      "tb_gateway.json": main([entry("A"), entry("B"), BUS]),
      "m.json": { x: 1 },
      "bus.json": BUS_FILE,
    });
    const extensions = provided(
      extension("A", { upgrade: fail }),
      extension("B", { schema: broken }),
    );
    const { connectors, issues } = await load(files, { extensions });
    expect(connectors.map(({ state }) => state)).toEqual(["invalid", "invalid", "ready"]);
    expect(issues.filter(({ message }) => message.includes("bad day"))).toHaveLength(2);
  });

  test("a standard schema's issues carry their path and line", async () => {
    const entry = { type: "lines", name: "L", configuration: "l.json" };
    using files = new ConfigFiles({
      "tb_gateway.json": main([entry]),
      "l.json": '{\n "a": 1,\n "broker": {\n  "host": 1\n }\n}',
    });
    expect((await load(files)).issues).toMatchObject([
      { path: "broker.host", line: 4, message: "must be text" },
    ]);
  });

  test("a list that remote editors write as {} is an empty one", async () => {
    using files = new ConfigFiles({ "tb_gateway.json": { thingsboard: PLATFORM, connectors: {} } });
    expect(await load(files)).toMatchObject({ connectors: [], issues: [], fatal: false });
  });

  test("secrets of all files are collected, variables' and saved ones too", async () => {
    const file = { broker: { host: "b", password: "bus-secret" } };
    using files = new ConfigFiles({ "tb_gateway.json": main([BUS]), "bus.json": file });
    const { secrets } = await load(files, { env: { TB_GW_PASSWORD: "env-secret" } });
    expect(secrets.toSorted()).toEqual(["bus-secret", "env-secret", "t0ken"]);
  });

  test("what variables say is in the settings and never in the file's content", async () => {
    using files = new ConfigFiles({ "tb_gateway.json": main() });
    const { raw, session } = await load(files, { env: { TB_GW_ACCESS_TOKEN: "other" } });
    expect(raw).toMatchObject({ thingsboard: PLATFORM });
    expect(session?.credentials).toEqual({ kind: "accessToken", accessToken: "other" });
  });
});

describe("credentials", () => {
  const provisioning = { provisionDeviceKey: "k", provisionDeviceSecret: "s" };
  const SAVED = '{"credentialsType":"ACCESS_TOKEN","credentialsValue":"saved"}';

  test("security goes before saved credentials, these before provisioning", async () => {
    using files = new ConfigFiles({
      "tb_gateway.json": { thingsboard: { ...PLATFORM, provisioning } },
      ".credentials": SAVED,
    });
    expect((await load(files)).session?.credentials).toMatchObject({ accessToken: "t0ken" });
    files.write("tb_gateway.json", { thingsboard: { host: "a", provisioning } });
    expect((await load(files)).session?.credentials).toMatchObject({ accessToken: "saved" });
    files.write("data/.credentials", SAVED.replace("saved", "data"));
    expect((await load(files)).session?.credentials).toMatchObject({ accessToken: "data" });
  });

  test("provisioning by variables goes before the security of the file", async () => {
    using files = new ConfigFiles({ "tb_gateway.json": main() });
    const env = {
      TB_GW_PROVISIONING_DEVICE_KEY: "k",
      TB_GW_PROVISIONING_DEVICE_SECRET: "s",
      TB_GW_PROVISIONING_DEVICE_NAME: "GW",
    };
    expect(await load(files, { env })).toMatchObject({
      fatal: false,
      session: undefined,
      provisioning: {
        request: { deviceKey: "k", deviceName: "GW", wanted: { kind: "accessToken" } },
        connection: { hosts: [{ host: "a", port: 1883 }] },
      },
    });
    files.write(".credentials", SAVED);
    expect((await load(files, { env })).session?.credentials).toMatchObject({
      accessToken: "saved",
    });
  });

  test("saved certificates are found in the data directory", async () => {
    using files = new ConfigFiles({
      "tb_gateway.json": { thingsboard: { host: "a", provisioning } },
      "data/.credentials": '{"credentialsType":"X509_CERTIFICATE","caCert":"ca.pem"}',
      "data/cert.pem": "c",
      "data/key.pem": "k",
      "ca.pem": "a",
    });
    expect((await load(files)).session).toMatchObject({
      credentials: { kind: "certificate" },
      tls: {
        caPath: join(files.path, "ca.pem"),
        certPath: join(files.path, "data/cert.pem"),
        keyPath: join(files.path, "data/key.pem"),
      },
    });
  });

  test("a saved token goes over the same kind of connection as the request for it", async () => {
    using files = new ConfigFiles({
      "tb_gateway.json": {
        thingsboard: { host: "a", security: { tls: true }, provisioning },
      },
    });
    expect((await load(files)).provisioning?.connection.tls).toMatchObject({ insecure: false });
    files.write("data/.credentials", SAVED);
    expect((await load(files)).session?.tls).toMatchObject({ insecure: false });
  });

  test("a certificate is asked for over TLS, and a missing CA file is said", async () => {
    using files = new ConfigFiles({
      "tb_gateway.json": {
        thingsboard: {
          host: "a",
          provisioning: { ...provisioning, type: "x509_certificate", caCert: "ca.pem" },
        },
      },
    });
    const { issues, provisioning: plan, fatal } = await load(files);
    expect(fatal).toBe(false);
    expect(plan?.connection.tls?.caPath).toBe(join(files.path, "ca.pem"));
    expect(issues).toMatchObject([{ severity: "error", path: "thingsboard.provisioning.caCert" }]);
  });

  test("saved credentials that cannot be read are an error", async () => {
    using files = new ConfigFiles({
      "tb_gateway.json": { thingsboard: { host: "a", provisioning } },
      ".credentials": "{",
    });
    const { issues, provisioning: plan } = await load(files);
    expect(issues).toMatchObject([{ severity: "error", path: "thingsboard.provisioning" }]);
    expect(plan?.request.deviceKey).toBe("k");
  });

  test("provisioning without its secret, or nothing at all, is fatal", async () => {
    using files = new ConfigFiles({
      "tb_gateway.json": { thingsboard: { host: "a", provisioning: { provisionDeviceKey: "k" } } },
    });
    expect(await load(files)).toMatchObject({ fatal: true, session: undefined });
    files.write("tb_gateway.json", { thingsboard: { host: "a" } });
    const { fatal, issues } = await load(files);
    expect(fatal).toBe(true);
    expect(issues).toMatchObject([{ severity: "error", path: "thingsboard.security" }]);
  });
});
