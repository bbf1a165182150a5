// Extension files outside the project, run by the compiled program without any package installed.
import { describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { AedesBroker } from "../support/aedes.ts";
import { connectorText, uplinkText, writeExtensions } from "../support/extension-files.ts";
import { type ExtensionEntry, ExtensionGateway } from "../support/extension-gateway.ts";
import { SEQUENCE_MAPPING } from "../support/gateway-process.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 120_000;

/** One byte of a datagram chooses what the converter gives. */
const BEACON_TEXT = `import { defineUplink, Float, type DeviceMessage } from "tbgw/sdk";
import * as v from "valibot";
export default defineUplink({
  name: "BeaconText", type: "udpbeacon",
  schema: v.looseObject({ name: v.string() }),
  create: () => ({ payload, deviceName }: DeviceMessage) => {
    const [kind = 0] = payload;
    const telemetry = (values: Record<string, unknown>) => [{ values }] as never;
    if (kind === 1) return null;
    if (kind === 2) return [];
    if (kind === 3) return [{ deviceName: "", attributes: { lost: 1 } }, { deviceName, telemetry: telemetry({ neighbour: true }) }];
    if (kind === 4) return { deviceName, telemetry: telemetry({ nan: Number.NaN, zero: 0, no: false, empty: "" }) };
    if (kind === 5) return { deviceName, telemetry: telemetry({ float: new Float(25), big: 2n ** 53n + 1n }) };
    throw new Error("cannot read this");
  },
});
`;

function beacons(port: number, more: Partial<ExtensionEntry> = {}): ExtensionEntry {
  const device = { name: "Beacon", address: "127.0.0.1", converter: "BeaconText" };
  const file = { port, devices: [device] };
  return { type: "udpbeacon", name: "Beacons", class: "UdpBeaconConnector", file, ...more };
}

async function send(port: number, ...kinds: readonly number[]): Promise<void> {
  const socket = createSocket("udp4");
  for (const kind of kinds) {
    const sent = Promise.withResolvers<void>();
    socket.send(Uint8Array.of(kind), port, "127.0.0.1", () => sent.resolve());
    await sent.promise;
  }
  socket.close();
}

/** Sends until the first value is there: nobody knows when a datagram is heard. */
async function arrive(
  gateway: ExtensionGateway,
  port: number,
  kind: number,
  key: string,
): Promise<void> {
  await until(`${key} has arrived`, async () => {
    await send(port, kind);
    return gateway.texts("Beacon", key).length > 0;
  });
}

describe.each([
  ["in the collection thread", {}],
  ["in a thread of its own", { isolation: "worker" as const }],
])("a connector and its converter %s", (_where, more) => {
  test(
    "import tbgw/sdk and valibot by value; what is bad in a record costs only itself; digits stay",
    async () => {
      const port = await freePort();
      await using gateway = await ExtensionGateway.create([beacons(port, more)], {
        "udpbeacon/beacon-text.ts": BEACON_TEXT,
        "udpbeacon/broken.ts": "export default {{{",
      });
      gateway.copyExamples();
      await gateway.start();
      await arrive(gateway, port, 5, "float");
      await send(port, 1, 2, 6, 3, 4);
      await gateway.platform.until(() => gateway.texts("Beacon", "empty").length > 0, 20_000);
      expect(gateway.texts("Beacon", "float")[0]).toBe("25.0");
      expect(gateway.texts("Beacon", "big")[0]).toBe("9007199254740993");
      expect(gateway.texts("Beacon", "neighbour")).toEqual(["true"]);
      expect(gateway.texts("Beacon", "zero")).toEqual(["0"]);
      expect(gateway.texts("Beacon", "no")).toEqual(["false"]);
      expect(gateway.platform.keys("Beacon")).not.toContain("nan");
      const published = JSON.stringify(gateway.platform.getClient("gateway")["extensions"]);
      expect(published).toContain("udp-beacon-connector.ts");
      expect(await gateway.process.stop()).toBe(0);
      expect(gateway.process.output).toContain("converter-error");
    },
    TIMEOUT_MS,
  );
});

test(
  "two roots on the command line, a converter of MQTT in one of them, and node_modules beside it",
  async () => {
    await using broker = await AedesBroker.listen();
    const mapping = {
      topicFilter: "tank/+",
      converter: { type: "custom", extension: "TankLevelConverter", extensionConfig: {} },
    };
    const vendored = {
      topicFilter: "vendored",
      converter: { type: "custom", extension: "Vendored", extensionConfig: {} },
    };
    const wrong = {
      topicFilter: "nothing",
      converter: { type: "custom", extension: "TankLevelConvertor", extensionConfig: {} },
    };
    const python = {
      topicFilter: "python",
      converter: { type: "custom", extension: "OldConverter", extensionConfig: {} },
    };
    const file = {
      broker: { host: "127.0.0.1", port: broker.port, version: 4, security: { type: "anonymous" } },
      mapping: [SEQUENCE_MAPPING, mapping, vendored, wrong, python],
    };
    await using gateway = await ExtensionGateway.create([{ type: "mqtt", name: "Broker", file }]);
    const [one, two] = ["one", "two"].map((name) => join(gateway.process.dir, name));
    mkdirSync(one ?? "", { mode: 0o755 });
    gateway.copyExamples(two);
    writeExtensions(two ?? "", {
      "mqtt/old.py": "class OldConverter(Converter):\n    pass\n",
      "mqtt/vendored.ts": uplinkText("Vendored")
        .replace("export default", 'import { name } from "vendored-lib"; export default')
        .replace('deviceName: "Vendored"', "deviceName: name"),
      "mqtt/node_modules/vendored-lib/package.json":
        '{"name":"vendored-lib","exports":{".":"./lib/main.js"}}',
      "mqtt/node_modules/vendored-lib/lib/main.js": 'export const name = "From a package";',
    });
    let subscriptions = 0;
    broker.aedes.on("subscribe", () => {
      subscriptions += 1;
    });
    await gateway.start(["--extensions", one ?? "", `--extensions=${two}`]);
    await until("the gateway has subscribed", () => subscriptions > 0);
    const client = await connectAsync(`mqtt://127.0.0.1:${broker.port}`, { clientId: "tank" });
    const payload = Buffer.from("01f408fc5a", "hex");
    await client.publishAsync("tank/T-7", payload, { qos: 1 });
    await client.publishAsync("vendored", "x", { qos: 1 });
    await client.endAsync();
    await gateway.platform.until(() => gateway.texts("T-7", "level").length > 0, 20_000);
    await gateway.platform.until(
      () => gateway.platform.getClient("From a package")["ok"] !== undefined,
      20_000,
    );
    expect(gateway.texts("T-7", "level")).toEqual(["50.0"]);
    expect(gateway.texts("T-7", "temperature")).toEqual(["23.0"]);
    expect(gateway.platform.device("T-7")?.profile).toBe("Tank");
    expect(gateway.process.output).toContain("Python extensions are not supported; port");
    expect(gateway.process.output).toContain("did you mean");
    const data = join(gateway.process.dir, "data");
    const roots = ["--extensions", one ?? "", "--extensions", two ?? ""];
    const list = (...args: readonly string[]) =>
      gateway.command("extension", "list", "--data", data, ...roots, ...args);
    writeExtensions(two ?? "", { "opcua/nobody.ts": uplinkText("Nobody", { type: "opcua" }) });
    const shown = JSON.parse((await list("--json")).out);
    const listed = (name: string, running: string) =>
      expect.objectContaining({ file: join(two ?? "", name), running });
    expect(shown.files).toContainEqual(listed("mqtt/vendored.ts", "running"));
    expect(shown.files).toContainEqual(listed("opcua/nobody.ts", "not-loaded"));
    const converter = (name: string, more: object) =>
      expect.objectContaining({ kind: "uplink", name, ...more });
    expect(shown.gateway.connectors).toEqual([
      expect.objectContaining({
        name: "Broker",
        type: "mqtt",
        state: "running",
        restarts: 0,
        converterErrors: 0,
        converters: [
          converter("TankLevelConverter", {
            file: expect.stringContaining("/two/mqtt/tank-level"),
          }),
          converter("Vendored", { version: expect.stringMatching(/^[0-9a-f]{64}$/) }),
          converter("TankLevelConvertor", { problem: "no extension defines it" }),
          converter("OldConverter", { problem: expect.stringContaining("Python extensions") }),
        ],
      }),
    ]);
    const text = await list();
    expect(text.out).toMatch(/\nrunning +[0-9a-f]{12} +\S+\/two\/mqtt\/vendored\.ts\n/);
    expect(text.out).toMatch(/\nBroker +mqtt +running +0 +0 +the program/);
    expect(await gateway.process.stop()).toBe(0);
    expect((await list()).out).toContain(`No gateway runs with the data directory ${data}`);
  },
  TIMEOUT_MS,
);

test(
  "a configuration that does not fit, a create or run that fails: only that connector, again after a pause",
  async () => {
    const period = { period: 1 };
    const names = ["Good", "Wrong", "Throws", "Hangs", "Returns", "Stray"];
    const entries = names.map((name) => ({
      type: "beacon",
      name,
      class: name,
      file: name === "Wrong" ? { period: "soon", more: 1 } : { ...period, more: 1 },
      ...(name === "Hangs" ? { startTimeoutMs: 200 } : {}),
    }));
    const strict = connectorText({ name: "Wrong" }).replace(
      "v.optional(v.number(), 1)",
      "v.number()",
    );
    const failing = (name: string, create: string): string =>
      connectorText({ name })
        .replace(
          "create: (config, host) => ({",
          `create: async (config, host) => { ${create} return {`,
        )
        .replace("  }),\n});", "  }; },\n});");
    await using gateway = await ExtensionGateway.create(entries, {
      "beacon/good.ts": connectorText({ name: "Good", body: 'host.log.info("Good runs");' }),
      "beacon/wrong.ts": strict,
      "beacon/throws.ts": failing("Throws", 'throw new Error("no create");'),
      "beacon/hangs.ts": failing("Hangs", "await new Promise(() => undefined);"),
      "beacon/returns.ts": connectorText({ name: "Returns", body: "return;" }),
      "beacon/stray.ts": connectorText({
        name: "Stray",
        body: 'setImmediate(() => { throw new Error("stray timer"); });',
      }),
    });
    const checked = await gateway.check();
    expect(checked.code).toBe(3);
    expect(checked.out).toContain("connector-1.json:2: period: ");
    await gateway.start();
    await until("each failing connector was started again", async () => {
      const connectors = await gateway.connectors();
      const restarts = (name: string): number =>
        connectors.find((connector) => connector.name === name)?.restarts ?? 0;
      return ["Throws", "Hangs", "Returns", "Stray"].every((name) => restarts(name) >= 2);
    });
    const states = Object.fromEntries(
      (await gateway.connectors()).map(({ name, state, restarts }) => [name, { state, restarts }]),
    );
    expect(states["Good"]).toEqual({ state: "running", restarts: 0 });
    expect(states["Wrong"]).toMatchObject({ state: "invalid" });
    expect(gateway.said("Good runs")).toBe(1);
    const told = (): string =>
      gateway.platform.getClient("gateway")["connector_errors"]?.text ?? "";
    const reasons = ["Wrong", "no create", "longer than 200 ms", "returned before", "stray timer"];
    await gateway.platform.until(() => reasons.every((reason) => told().includes(reason)), 20_000);
    expect(Object.keys(JSON.parse(told())).toSorted()).toEqual(names.slice(1).toSorted());
    for (const text of [
      "no create",
      "create took longer than 200 ms",
      "returned before",
      "stray timer",
    ]) {
      expect(gateway.process.output).toContain(text);
    }
    expect(await gateway.process.stop()).toBe(0);
  },
  TIMEOUT_MS,
);

test(
  "a change of one connector's file or extension gives only that connector a fresh instance",
  async () => {
    const entry = (name: string): ExtensionEntry => ({
      type: "beacon",
      name,
      class: name,
      file: { period: 1, more: 1 },
    });
    const text = (name: string, says: string): string =>
      connectorText({ name, body: `host.log.info("${name} ${says}" + config.period);` });
    await using gateway = await ExtensionGateway.create([entry("A"), entry("B")], {
      "beacon/a.ts": text("A", "first"),
      "beacon/b.ts": text("B", "first"),
    });
    await gateway.start();
    await until("both run", () => gateway.said("A first1") > 0 && gateway.said("B first1") > 0);
    gateway.writeEntries([{ ...entry("A"), file: { period: 2, more: 1 } }, entry("B")]);
    await until("A has its new configuration", () => gateway.said("A first2") > 0);
    writeExtensions(gateway.root, { "beacon/a.ts": text("A", "second") });
    await until("A is its new version", () => gateway.said("A second2") > 0);
    writeExtensions(gateway.root, { "beacon/a.ts": "export default {{" });
    await until("the broken version is said", () => gateway.said("Extension cannot be used") > 0);
    writeExtensions(gateway.root, { "beacon/a.ts": text("A", "third") });
    await until("A is mended", () => gateway.said("A third2") > 0);
    expect(gateway.said("B first1")).toBe(1);
    expect(gateway.said("A second2")).toBe(1);
    const [a] = await gateway.connectors();
    expect(a).toMatchObject({ state: "running", restarts: 0 });
  },
  TIMEOUT_MS,
);

test(
  "a file that is put into a folder that was not there is run without a restart",
  async () => {
    const entry = { type: "beacon", name: "A", file: { period: 1, more: 1 } };
    await using gateway = await ExtensionGateway.create([entry]);
    await gateway.start();
    expect(gateway.process.output).toContain("this one is skipped");
    writeExtensions(gateway.root, {
      "beacon/a.ts": connectorText({ body: 'host.log.info("A is there");' }),
    });
    await until("the connector runs", () => gateway.said("A is there") > 0);
    await until("it is shown as running", async () =>
      (await gateway.connectors()).some(({ name, state }) => name === "A" && state === "running"),
    );
  },
  TIMEOUT_MS,
);

test(
  "files that everybody may write to are refused, and run when that is forced",
  async () => {
    const entry = { type: "beacon", name: "A", file: { period: 1, more: 1 } };
    await using gateway = await ExtensionGateway.create([entry], {
      "beacon/a.ts": connectorText(),
    });
    chmodSync(join(gateway.root, "beacon/a.ts"), 0o666);
    const refused = await gateway.check();
    expect(refused.code).toBe(3);
    expect(refused.out).toContain("everybody may write to");
    expect((await gateway.check("--allow-insecure-extensions")).code).toBe(0);
    expect((await gateway.check("--extensions")).code).toBe(2);
  },
  TIMEOUT_MS,
);
