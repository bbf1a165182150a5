import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { ExtensionCatalogue, type Found } from "../../../src/extension/catalogue.ts";
import { isNamedAfter } from "../../../src/extension/folder.ts";
import { extensionRoots } from "../../../src/extension/roots.ts";
import { ExtensionUses } from "../../../src/extension/uses.ts";
import { ConfigError, errorText } from "../../../src/sdk/errors.ts";
import { connectorText, uplinkText, writeExtensions } from "../../support/extension-files.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { runs } from "../../support/property-runs.ts";
import { temporaryDir } from "../../support/temporary-dir.ts";

function scene(files: Readonly<Record<string, string>>, allowInsecure = false) {
  const dir = temporaryDir();
  writeExtensions(dir.path, files);
  const log = memoryLog();
  const roots = [join(dir.path, "first"), join(dir.path, "second")];
  const catalogue = new ExtensionCatalogue({ roots, log: log.log, allowInsecure });
  return { path: dir.path, log, catalogue, [Symbol.dispose]: () => dir[Symbol.dispose]() };
}

async function failure(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => "nothing was thrown",
    (reason: unknown) => reason,
  );
  return error instanceof ConfigError ? error.message : `no ConfigError: ${errorText(error)}`;
}

const fileOf = (found: Found | undefined): string | undefined =>
  found?.file.split("/").slice(-3).join("/");

describe("extensionRoots()", () => {
  test("lists flags, variable, system, configuration and program in this order, each once", () => {
    const env = { TBGW_EXTENSIONS: "/b:rel::/a" };
    const choice = { env, configDir: "/etc/tbgw", executable: "/opt/tbgw", cwd: "/here" };
    expect(extensionRoots({ ...choice, flags: ["/a", "mine"] })).toEqual([
      "/a",
      "/here/mine",
      "/b",
      "/here/rel",
      "/var/lib/thingsboard_gateway/extensions",
      "/etc/tbgw/extensions",
      "/opt/extensions",
    ]);
  });
});

describe("isNamedAfter()", () => {
  test.each(["CustomMQTTConverter2", "custom-mqtt-converter2", "custom_mqtt_converter2"])(
    "%s stands for CustomMQTTConverter2",
    (stem) => expect(isNamedAfter(stem, "CustomMQTTConverter2")).toBe(true),
  );

  test("another name is another name", () => {
    expect(isNamedAfter("custom", "CustomMQTTConverter2")).toBe(false);
  });
});

describe("ExtensionCatalogue", () => {
  test("imports values of tbgw/sdk and valibot from a file outside the project", async () => {
    using it = scene({ "first/beacon/b.ts": connectorText({ name: "B" }) });
    const found = await it.catalogue.find("connector", "beacon", "B");
    expect(found?.definition.schema["~standard"].validate({})).toEqual({
      value: { period: 1 },
      typed: true,
    } as never);
    expect(found?.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(it.log.records).toContainEqual(
      expect.objectContaining({
        level: "info",
        message: "Extension is loaded",
        fields: expect.objectContaining({ sha256: found?.sha256 }),
      }),
    );
  });

  test("the first root wins, in a root the folder of the type before shared", async () => {
    using it = scene({
      "first/shared/a.ts": uplinkText("A"),
      "second/mqtt/a.ts": uplinkText("A"),
      "second/mqtt/b.ts": uplinkText("B"),
      "second/shared/b.ts": uplinkText("B"),
    });
    expect(fileOf(await it.catalogue.find("uplink", "mqtt", "A"))).toBe("first/shared/a.ts");
    expect(fileOf(await it.catalogue.find("uplink", "MQTT", "B"))).toBe("second/mqtt/b.ts");
    expect(await it.catalogue.find("uplink", "modbus", "A")).toBeUndefined();
  });

  test("runs only the file that is named after the wanted name", async () => {
    using it = scene({
      "first/mqtt/tank-level.ts": uplinkText("TankLevel"),
      "first/mqtt/other.ts": 'throw new Error("was run");',
    });
    expect(await it.catalogue.find("uplink", "mqtt", "TankLevel")).toBeDefined();
    expect(it.catalogue.loaded().map(({ file }) => file.endsWith("tank-level.ts"))).toEqual([true]);
  });

  test("tests, declarations, hidden files and node_modules are no extensions; a folder with an index is one", async () => {
    const bad = 'throw new Error("was run");';
    using it = scene({
      "first/mqtt/_draft.ts": bad,
      "first/mqtt/.hidden.ts": bad,
      "first/mqtt/a.d.ts": bad,
      "first/mqtt/a.test.ts": bad,
      "first/mqtt/node_modules/index.js": bad,
      "first/mqtt/notes.txt": bad,
      "first/mqtt/tank/index.ts": `import { text } from "./part.ts";\n${uplinkText("Tank").replace('"Tank", type', "text, type")}`,
      "first/mqtt/tank/part.ts": 'export const text = "Tank";',
    });
    expect(fileOf(await it.catalogue.find("uplink", "mqtt", "Tank"))).toBe("mqtt/tank/index.ts");
    expect(await it.catalogue.find("uplink", "mqtt", "Nothing")).toBeUndefined();
  });

  test("several definitions in one file, default and named, are each found once", async () => {
    const named = uplinkText("B").replace("export default", "export const b =");
    const also = "export { b as again };\n";
    using it = scene({ "first/mqtt/all.ts": uplinkText("A") + named + also });
    expect((await it.catalogue.find("uplink", "mqtt", "A"))?.definition.name).toBe("A");
    expect((await it.catalogue.find("uplink", "mqtt", "B"))?.definition.name).toBe("B");
  });

  test("two of one name are an error that names both files", async () => {
    using it = scene({ "first/mqtt/x.ts": uplinkText("A"), "first/mqtt/y.ts": uplinkText("A") });
    const text = await failure(it.catalogue.find("uplink", "mqtt", "A"));
    expect(text).toContain("first/mqtt/x.ts");
    expect(text).toContain("first/mqtt/y.ts");
    expect(text).toContain("defined twice");
  });

  test("a connector without a name takes every class, one with a name goes before it", async () => {
    using it = scene({
      "first/beacon/any.ts": connectorText(),
      "first/beacon/mine.ts": connectorText({ name: "Mine" }),
    });
    expect(fileOf(await it.catalogue.find("connector", "beacon", "Mine"))).toContain("mine.ts");
    expect(fileOf(await it.catalogue.find("connector", "beacon", "Other"))).toContain("any.ts");
    expect(fileOf(await it.catalogue.find("connector", "beacon", undefined))).toContain("any.ts");
  });

  test("without a class the only connector of the type is taken; of several one must be chosen", async () => {
    using it = scene({ "first/beacon/a.ts": connectorText({ name: "A" }) });
    expect(await it.catalogue.find("connector", "beacon", undefined)).toBeDefined();
    writeExtensions(it.path, { "first/beacon/b.ts": connectorText({ name: "B" }) });
    expect(await failure(it.catalogue.find("connector", "beacon", undefined))).toContain(
      'choose one by "class"',
    );
  });

  test("a built-in wins, unless the extension says overridesBuiltin; both are said", async () => {
    using it = scene({
      "first/mqtt/a.ts": uplinkText("A"),
      "first/mqtt/b.ts": uplinkText("B", { more: "overridesBuiltin: true," }),
      "first/mqtt/unrelated.ts": 'throw new Error("was run");',
    });
    const isBuiltin = { isBuiltin: true };
    expect(await it.catalogue.find("uplink", "mqtt", "A", isBuiltin)).toBeUndefined();
    expect(fileOf(await it.catalogue.find("uplink", "mqtt", "B", isBuiltin))).toBe(
      "first/mqtt/b.ts",
    );
    await it.catalogue.find("uplink", "mqtt", "B", isBuiltin);
    const [unused, used, ...more] = it.log.messages("warn");
    expect(unused).toContain("is not used");
    expect(used).toContain("takes the place");
    expect(more).toEqual([]);
    expect(it.log.messages("error")).toEqual([]);
  });

  test("a Python file with the class gets a clear answer", async () => {
    using it = scene({ "first/mqtt/conv.py": "from x import y\n\nclass Tank(y):\n    pass\n" });
    expect(await failure(it.catalogue.find("uplink", "mqtt", "Tank"))).toContain(
      "Python extensions are not supported; port",
    );
    expect(await it.catalogue.find("uplink", "mqtt", "Tan")).toBeUndefined();
  });

  test("what everybody may write to is refused, unless that is forced", async () => {
    const files = { "first/mqtt/a.ts": uplinkText("A"), "second/mqtt/b.ts": uplinkText("B") };
    using it = scene(files);
    chmodSync(join(it.path, "first/mqtt/a.ts"), 0o666);
    chmodSync(join(it.path, "second/mqtt"), 0o777);
    for (const [name, path] of [
      ["A", "first/mqtt/a.ts"],
      ["B", "second/mqtt"],
    ] as const) {
      const text = await failure(it.catalogue.find("uplink", "mqtt", name));
      expect(text).toContain(`everybody may write to ${join(it.path, path)}`);
      expect(text).toContain("--allow-insecure-extensions");
    }
    const options = { roots: [join(it.path, "first"), join(it.path, "second")], log: it.log.log };
    const forced = new ExtensionCatalogue({ ...options, allowInsecure: true });
    expect(await forced.find("uplink", "mqtt", "A")).toBeDefined();
    expect(await forced.find("uplink", "mqtt", "B")).toBeDefined();
  });

  test.each([
    ["a syntax error", "export default {{{;", "line 1"],
    ["a missing package", 'import x from "nowhere"; export default x;', "bundle it into the file"],
    ["a throw", '\nthrow new Error("no licence");', "line 2: no licence"],
    [
      "another version",
      'export default { kind: "uplink", api: 2, name: "A" };',
      "version 2 of tbgw/sdk",
    ],
    [
      "no schema",
      'export default { kind: "uplink", api: 1, name: "A", type: "mqtt", create() {} };',
      "Standard Schema",
    ],
  ])("%s is an error with file and place, and costs no other file", async (_what, text, part) => {
    using it = scene({ "first/mqtt/bad.ts": text, "first/mqtt/z.ts": uplinkText("Good") });
    const message = await failure(it.catalogue.find("uplink", "mqtt", "A"));
    expect(message).toContain("first/mqtt/bad.ts");
    expect(message).toContain(part);
    expect(await it.catalogue.find("uplink", "mqtt", "Good")).toBeDefined();
  });

  test("one broken file never affects another", async () => {
    const bad = fc.constantFrom(
      "}",
      "throw 1;",
      "throw new Error();",
      "import './no.ts';",
      "import 'no';",
      "export default null;",
      "export const a = { kind: 7 };",
      "\u0000\u0001",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), bad, { maxKeys: 5 }),
        async (broken) => {
          const files = Object.entries(broken).map(([name, text]) => [
            `first/mqtt/${name}.ts`,
            text,
          ]);
          using it = scene({
            ...Object.fromEntries(files),
            "first/mqtt/good-one.ts": uplinkText("GoodOne"),
            "first/mqtt/zz-other.ts": uplinkText("Unlike"),
          });
          for (const name of ["Unlike", "GoodOne"]) {
            expect((await it.catalogue.find("uplink", "mqtt", name))?.definition.name).toBe(name);
          }
        },
      ),
      { numRuns: runs(25) },
    );
  });

  test("a file that has changed, or one that it imports, is imported again; an unchanged one is not", async () => {
    const main = `import { device } from "./_part.ts";\n${uplinkText("A").replace('deviceName: "A"', "deviceName: device")}`;
    using it = scene({
      "first/mqtt/a.ts": main,
      "first/mqtt/_part.ts": 'export const device = "one";',
    });
    const device = async (): Promise<unknown> => {
      const found = await it.catalogue.find("uplink", "mqtt", "A");
      const convert = found?.definition.create({}, {} as never);
      const data = convert?.({} as never, () => undefined);
      return data === null || data === undefined ? data : Reflect.get(data, "deviceName");
    };
    const first = await it.catalogue.find("uplink", "mqtt", "A");
    expect((await it.catalogue.find("uplink", "mqtt", "A"))?.definition).toBe(
      first?.definition as never,
    );
    expect(await device()).toBe("one");
    writeExtensions(it.path, { "first/mqtt/_part.ts": 'export const device = "two";' });
    expect(await device()).toBe("two");
    writeExtensions(it.path, {
      "first/mqtt/a.ts": main.replace("deviceName: device", 'deviceName: device + "!"'),
    });
    expect(await device()).toBe("two!");
  });

  test("more than 20 reloads of a file are worth a restart", async () => {
    using it = scene({ "first/mqtt/a.ts": uplinkText("A") });
    for (let round = 0; round <= 21; round++) {
      writeExtensions(it.path, { "first/mqtt/a.ts": `${uplinkText("A")}// ${round}\n` });
      await it.catalogue.find("uplink", "mqtt", "A");
    }
    expect(it.log.messages("warn")).toEqual([expect.stringContaining("restart the gateway")]);
  });

  test("methods() gives each method once, and neither of two with one name in a folder", async () => {
    const rpc = (name: string): string =>
      `import { defineRpc } from "tbgw/sdk"; import * as v from "valibot";
       export default defineRpc({ name: "${name}", params: v.unknown(), run: async () => "${name}" });`;
    using it = scene({
      "first/rpc/a.ts": rpc("a"),
      "first/rpc/b.ts": rpc("b"),
      "first/rpc/b2.ts": rpc("b"),
      "first/rpc/broken.ts": "}",
      "second/rpc/a.ts": rpc("a"),
    });
    const methods = await it.catalogue.methods();
    expect(methods.map(fileOf)).toEqual(["first/rpc/a.ts"]);
    expect(it.log.messages("error")).toEqual([
      "Extension cannot be used",
      "A method of the gateway is defined twice and cannot be used",
    ]);
  });
});

describe("ExtensionUses", () => {
  test("names the connectors for which a search would end in another way", async () => {
    using it = scene({ "first/mqtt/a.ts": uplinkText("A"), "first/mqtt/b.ts": "}" });
    mkdirSync(join(it.path, "second/mqtt"), { recursive: true, mode: 0o755 });
    const uses = new ExtensionUses(it.catalogue);
    await uses.find("one", { kind: "uplink", type: "mqtt", name: "A" });
    await uses.find("two", { kind: "uplink", type: "mqtt", name: "B" }).catch(() => undefined);
    await uses.find("three", { kind: "uplink", type: "mqtt", name: "C", isBuiltin: true });
    expect([...(await uses.stale())]).toEqual([]);
    writeExtensions(it.path, { "first/mqtt/a.ts": `${uplinkText("A")}// changed` });
    expect([...(await uses.stale())]).toEqual(["one"]);
    writeExtensions(it.path, { "first/mqtt/a.ts": "{" });
    expect([...(await uses.stale())]).toEqual([]);
    writeExtensions(it.path, { "first/mqtt/a.ts": `${uplinkText("A")}// mended` });
    writeFileSync(join(it.path, "first/mqtt/b.ts"), uplinkText("B"));
    expect([...(await uses.stale())]).toEqual(["one", "two"]);
    uses.forget("one");
    expect([...(await uses.stale())]).toEqual(["two"]);
  });
});
