// `tbgw extension` on files as an author has them, each in a thread of its own.
import { beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { inspectAll, listText } from "../../src/commands/extension/list.ts";
import { chooseSkeleton, writeNew } from "../../src/commands/extension/new.ts";
import { authorFiles } from "../../src/extension/author-files.ts";
import type { CheckTask, TestTask } from "../../src/extension/author-port.ts";
import { runAuthorTask } from "../../src/extension/author-runner.ts";
import { skeletonFiles } from "../../src/extension/skeleton.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { temporaryDir } from "../support/temporary-dir.ts";

const CHECK = {
  kind: "check",
  name: undefined,
  config: undefined,
  allowInsecure: false,
  env: {},
} as const;
const TEST = {
  ...CHECK,
  kind: "test",
  input: undefined,
  topic: undefined,
  device: undefined,
  seconds: 1,
  rpc: undefined,
  attributes: undefined,
} as const;

let files: Readonly<Record<string, string>> = {};

beforeAll(async () => {
  files = await authorFiles();
}, 60_000);

/** A folder of extensions in which each kind was begun. */
function skeletons(dir: string): void {
  for (const given of [
    { name: "MeterConnector" },
    { name: "TankUplink", kind: "uplink" },
    { name: "TenthsDownlink", kind: "downlink", type: "modbus" },
    { name: "RegisterUplink", kind: "uplink", type: "modbus" },
    { name: "NodeUplink", kind: "uplink", type: "opcua" },
    { name: "LineUplink", kind: "uplink", type: "serial" },
    { name: "greet", kind: "rpc" },
  ]) {
    for (const { path, text } of skeletonFiles(chooseSkeleton(given), files)) {
      put(dir, path, text);
    }
  }
}

function put(dir: string, path: string, text: string): string {
  const file = join(dir, path);
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  writeFileSync(file, text);
  chmodSync(file, 0o644); // Whatever the umask: what everybody may write to is refused.
  return file;
}

interface Done {
  readonly code: number;
  readonly out: readonly string[];
  readonly problems: readonly string[];
}

interface RunOptions {
  readonly silentMs?: number;
  /** Stops a connector when this is true of what it has said. */
  readonly until?: (out: readonly string[]) => boolean;
}

async function run(
  task: CheckTask | TestTask,
  { silentMs, until = () => false }: RunOptions = {},
): Promise<Done> {
  const stop = new AbortController();
  const out: string[] = [];
  const problems: string[] = [];
  const code = await runAuthorTask(task, {
    clock: systemClock,
    out: (text) => {
      out.push(text);
      if (until(out)) {
        stop.abort();
      }
    },
    problem: (text) => problems.push(text),
    signal: stop.signal,
    ...(silentMs === undefined ? {} : { silentMs }),
  });
  return { code, out, problems };
}

const check = (file: string, more: Partial<CheckTask> = {}): Promise<Done> =>
  run({ ...CHECK, file, ...more });
const tryOut = (file: string, more: Partial<TestTask> = {}): Promise<Done> =>
  run({ ...TEST, file, ...more });

describe("tbgw extension new", () => {
  test("each skeleton passes its own test", async () => {
    using dir = temporaryDir();
    skeletons(dir.path);
    for (const path of [
      "meter/meter-connector",
      "mqtt/tank-uplink",
      "modbus/tenths-downlink",
      "modbus/register-uplink",
      "opcua/node-uplink",
      "serial/line-uplink",
      "rpc/greet",
    ]) {
      const done = await tryOut(join(dir.path, `${path}.test.ts`));
      expect(done.out.at(-1)).toMatch(/^[1-9]\d* passed, 0 failed$/);
      expect(done.code).toBe(0);
    }
  });

  test("overwrites nothing, and leaves what extensions have in common", async () => {
    using dir = temporaryDir();
    const write = (name: string): ReturnType<typeof writeNew> => {
      const choice = chooseSkeleton({ name, kind: "uplink" });
      return writeNew(choice, skeletonFiles(choice, files), dir.path);
    };
    expect((await write("TankUplink")).code).toBe(0);
    const file = join(dir.path, "mqtt/tank-uplink.json");
    writeFileSync(file, "mine");
    writeFileSync(join(dir.path, "tsconfig.json"), "mine too");
    const again = await write("TankUplink");
    expect(again.code).toBe(1);
    expect(again.text).toContain(`Nothing is written, because this is there already:\n`);
    const other = await write("Second");
    expect(other.code).toBe(0);
    expect(other.text).toContain("tsconfig.json is there already and differs: left");
    expect(
      [file, join(dir.path, "tsconfig.json")].map((path) => readFileSync(path, "utf8")),
    ).toEqual(["mine", "mine too"]);
  });

  test("says what a name, a kind and a type must be", () => {
    for (const [given, part] of [
      [{ name: "../x" }, 'Cannot name an extension "../x"'],
      [{ name: "9Lives" }, "begins with a letter"],
      [{ name: "a".repeat(65) }, "at most 64 long"],
      [{ name: "X", kind: "uplnk" }, "--kind must be one of connector, uplink, downlink, rpc"],
      [{ name: "MqttConnector" }, 'The type "mqtt" is taken'],
      [{ name: "X", kind: "uplink", type: "../etc" }, 'Cannot use the type "../etc"'],
      [{ name: "x", kind: "rpc", type: "mqtt" }, "has no --type"],
    ] as const) {
      expect(() => chooseSkeleton(given)).toThrow(part);
    }
    expect(chooseSkeleton({ name: "UdpBeaconConnector" }).type).toBe("udpbeacon");
  });
});

describe("tbgw extension check", () => {
  test("says what a file defines, and judges a configuration with its lines", async () => {
    using dir = temporaryDir();
    skeletons(dir.path);
    const file = join(dir.path, "meter/meter-connector.ts");
    const good = await check(file, { config: join(dir.path, "meter/meter-connector.json") });
    expect(good).toMatchObject({ code: 0, problems: [] });
    expect(good.out[0]).toBe("connector MeterConnector of type meter");
    const config = put(dir.path, "bad.json", '{\n  "pollPeriod": 5,\n  "devices": []\n}\n');
    const bad = await check(file, { config });
    expect(bad.code).toBe(3);
    expect(bad.problems.join("\n")).toContain(`${config}:2: pollPeriod: `);
    expect(bad.problems.join("\n")).toContain("name at least one device");
    const converter = join(dir.path, "mqtt/tank-uplink.ts");
    const mapping = put(
      dir.path,
      "mapping.json",
      '{"converter": {"extensionConfig": {"profile": 7}}}',
    );
    const wrong = await check(converter, { config: mapping });
    expect(wrong.code).toBe(3);
    expect(wrong.problems.join()).toContain("converter.extensionConfig.profile");
  });

  test("says each way in which a file cannot be loaded, and ends with 1", async () => {
    using dir = temporaryDir();
    for (const [text, part] of [
      ["export default {;", "line 1"],
      ['throw new Error("no license");', "no license"],
      ['import "left-pad"; import "./gone.ts";', 'it imports "left-pad", "./gone.ts"'],
      ["export const x = 1;", "it exports no definition"],
      ['export default { kind: "uplink", api: 2, name: "X", type: "mqtt" };', "version 2"],
    ] as const) {
      const done = await check(put(dir.path, `x/${text.length}.ts`, text));
      expect(done.problems.join("\n")).toContain(part);
      expect(done.code).toBe(1);
    }
  });

  test("names the way for a Python file", async () => {
    using dir = temporaryDir();
    const done = await check(put(dir.path, "mqtt/old.py", "class OldConverter:\n    pass\n"));
    expect(done.code).toBe(1);
    expect(done.problems.join()).toContain("old.py: Python extensions are not supported: port it");
  });

  test("ends an endless loop at the top level", async () => {
    using dir = temporaryDir();
    const file = put(dir.path, "x/loop.ts", "for (;;) {}");
    const done = await run({ ...CHECK, file }, { silentMs: 1500 });
    expect(done.code).toBe(1);
    expect(done.problems.join()).toContain(
      "nothing was heard of it for 1.5 s; is there an endless loop",
    );
  });
});

describe("what everybody may write to", () => {
  const open = (path: string): string =>
    `everybody may write to ${path}, so it is not loaded: "chmod o-w ${path}", or force it with --allow-insecure-extensions`;

  test("is refused by check and test with the words of run, unless it is forced", async () => {
    using dir = temporaryDir();
    skeletons(dir.path);
    const file = join(dir.path, "mqtt/tank-uplink.ts");
    const input = join(dir.path, "mqtt/tank-uplink.hex");
    const config = join(dir.path, "mqtt/tank-uplink.json");
    const folder = join(dir.path, "mqtt");
    for (const [place, mode, modeBefore] of [
      [file, 0o666, 0o644],
      [folder, 0o777, 0o755],
    ] as const) {
      chmodSync(place, mode);
      const refused = { code: 1, out: [], problems: [`${file}: ${open(place)}`] };
      expect(await check(file)).toEqual(refused);
      expect(await tryOut(file, { config, input, topic: "tank/T-7" })).toEqual(refused);
      const forced = { allowInsecure: true };
      expect(await check(file, forced)).toMatchObject({ code: 0, problems: [] });
      const more = { ...forced, config, input, topic: "tank/T-7" };
      expect(await tryOut(file, more)).toMatchObject({ code: 0, problems: [] });
      chmodSync(place, modeBefore);
    }
  });

  test("is not even run by list, also when only the root is open", async () => {
    using dir = temporaryDir();
    const marker = join(dir.path, "ran");
    const text = `require("node:fs").writeFileSync(${JSON.stringify(marker)}, "");`;
    const file = put(dir.path, "mqtt/loud.ts", text);
    chmodSync(dir.path, 0o777);
    const [refused] = await inspectAll([dir.path], false);
    expect(refused).toMatchObject({ file, problem: open(dir.path) });
    expect(existsSync(marker)).toBe(false);
    await inspectAll([dir.path], true);
    expect(existsSync(marker)).toBe(true);
  });

  test("is refused by check in the folder of its type, when a gateway would refuse the root", async () => {
    using dir = temporaryDir();
    skeletons(dir.path);
    const file = join(dir.path, "mqtt/tank-uplink.ts");
    const elsewhere = put(dir.path, "mine/tank.ts", readFileSync(file, "utf8"));
    chmodSync(dir.path, 0o777);
    expect(await check(file)).toMatchObject({ code: 1, problems: [`${file}: ${open(dir.path)}`] });
    expect(await check(elsewhere)).toMatchObject({ code: 0, problems: [] });
  });
});

describe("tbgw extension test", () => {
  test("converts a payload as it would be sent", async () => {
    using dir = temporaryDir();
    skeletons(dir.path);
    const file = join(dir.path, "mqtt/tank-uplink.ts");
    const config = join(dir.path, "mqtt/tank-uplink.json");
    const input = join(dir.path, "mqtt/tank-uplink.hex");
    const done = await tryOut(file, { config, input, topic: "tank/T-7" });
    expect(done).toMatchObject({ code: 0, problems: [] });
    expect(done.out.join("\n").replace(/"ts":\d+/, '"ts":0')).toBe(
      '{"deviceName":"T-7","deviceType":"Tank","telemetry":[{"ts":0,"values":{"level":50.0,"temperature":23.0}}],"attributes":{"battery":90}}',
    );
    const short = await tryOut(file, { config, input: put(dir.path, "s.hex", "01"), topic: "t/1" });
    expect(short.code).toBe(1);
    expect(short.problems.join("\n")).toContain("a message has 5");
    const untold = await tryOut(file, { config });
    expect(untold.code).toBe(2);
    expect(untold.problems.join()).toContain("--input FILE is missing");
  });

  test("converts reads, values and calls", async () => {
    using dir = temporaryDir();
    skeletons(dir.path);
    const read = put(dir.path, "read.json", '{"items":[{"key":"t","registers":[215]}]}');
    const up = await tryOut(join(dir.path, "modbus/register-uplink.ts"), {
      input: read,
      device: "Boiler",
    });
    expect(up.out.join()).toContain('"deviceName":"Boiler"');
    expect(up.out.join()).toContain('"values":{"t":21.5}');
    const down = await tryOut(join(dir.path, "modbus/tenths-downlink.ts"), {
      input: put(dir.path, "value.json", '{"name":"setpoint","value":21.5}'),
    });
    expect(down.out).toEqual([expect.stringContaining("00 d7")]);
    const call = await tryOut(join(dir.path, "rpc/greet.ts"), {
      input: put(dir.path, "params.json", '{"name":"plant"}'),
    });
    expect(call.out.join()).toContain('"text":"Hello plant"');
    const params = await tryOut(join(dir.path, "rpc/greet.ts"), {
      input: put(dir.path, "wrong.json", '{"name":7}'),
    });
    expect(params.code).toBe(3);
  });

  test("runs a connector with a platform in memory and tells records and replies", async () => {
    using dir = temporaryDir();
    skeletons(dir.path);
    const heard = Promise.withResolvers<string>();
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on("end", () => {
        if (request.method === "POST") {
          heard.resolve(body);
        }
        response.end(request.method === "POST" ? '{"done":true}' : '{"power":50.0}');
      });
    });
    const listening = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", listening.resolve);
    await listening.promise;
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    const config = put(
      dir.path,
      "meter.json",
      JSON.stringify({ devices: [{ name: "Meter", url: `http://127.0.0.1:${port}/` }] }),
    );
    const task = {
      ...TEST,
      file: join(dir.path, "meter/meter-connector.ts"),
      config,
      seconds: 60,
      rpc: '[{"device":"Meter","method":"set","params":{"limit":5}},{"device":"Meter","method":"x"}]',
    };
    const isAnswered = (out: readonly string[]): boolean =>
      out.filter((line) => line.startsWith("reply ")).length === 2;
    const done = await run(task, { until: isAnswered });
    server.closeAllConnections();
    server.close();
    expect(done.code).toBe(0);
    expect(done.out).toContain("status connected");
    expect(done.out.join("\n")).toContain('"values":{"power":50.0}');
    expect(await heard.promise).toBe('{"limit":5}');
    expect(done.out).toContain('reply {"done":true}');
    expect(done.out.join("\n")).toContain('"code":404');
  });

  test("a connector that ends by itself has failed", async () => {
    using dir = temporaryDir();
    const file = put(
      dir.path,
      "x/short.ts",
      `import { defineConnector } from "tbgw/sdk";
       import * as v from "valibot";
       export default defineConnector({ type: "x", schema: v.looseObject({}), create: () => ({
         run: async () => { throw new Error("the cable is loose"); },
         [Symbol.asyncDispose]: async () => {},
       })});`,
    );
    const done = await tryOut(file, { config: put(dir.path, "x.json", '{"some":"key"}') });
    expect(done.code).toBe(1);
    expect(done.problems.join()).toContain("the cable is loose");
  });
});

describe("tbgw extension list", () => {
  test("names each definition, and what is wrong with a file", async () => {
    using dir = temporaryDir();
    skeletons(dir.path);
    put(dir.path, "mqtt/broken.ts", "export default {;");
    put(dir.path, "mqtt/old.py", "class OldConverter:\n    pass\n");
    const elsewhere = put(
      dir.path,
      "opcua/tank.ts",
      readFileSync(join(dir.path, "mqtt/tank-uplink.ts"), "utf8"),
    );
    const open = put(dir.path, "shared/open.ts", "export {};");
    chmodSync(open, 0o666);
    const listed = await inspectAll([dir.path], false);
    const text = listText([dir.path], listed);
    expect(text).toMatch(/mqtt\/old\.py\n +Python extensions are not supported: port it\n/);
    expect(text).toMatch(
      /connector +MeterConnector +meter +ok +[0-9a-f]{12} +.*meter-connector\.ts/,
    );
    expect(text).toMatch(/rpc +greet +rpc +ok/);
    expect(text).toMatch(/mqtt\/broken\.ts\n +line 1: /);
    expect(listed.find(({ file }) => file === elsewhere)?.problem).toContain("a folder named mqtt");
    expect(listed.find(({ file }) => file === open)?.problem).toContain("everybody may write to");
    expect(text).not.toContain(".test.ts");
  });
});
