import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { renameAliases } from "../../../../connectors/custom/serial-aliases.ts";
import { serialConfig, serialDevice } from "../../../../connectors/custom/serial-config.ts";
import { SerialMessages } from "../../../../connectors/custom/serial-messages.ts";
import { type Part, readPart } from "../../../../connectors/custom/serial-part.ts";
import uplink from "../../../../connectors/custom/serial-uplink-converter.ts";
import { parseConfig } from "../../../../src/sdk/config.ts";
import { encodeJson } from "../../../../src/sdk/encode.ts";
import { DataError } from "../../../../src/sdk/errors.ts";
import { epochMs, type Json } from "../../../../src/sdk/model.ts";
import { TestHost } from "../../../support/connector-host.ts";

const MESSAGE = Buffer.from("48\r2430947595\n");

describe("readPart()", () => {
  test.each<readonly [part: Part, text: string]>([
    [{ type: "float", untilDelimiter: "\r" }, "48.0"],
    [{ type: "double", untilDelimiter: "\r" }, "48.0"],
    [{ type: "int", untilDelimiter: "\r" }, "48"],
    [{ untilDelimiter: "\r" }, '"3438"'],
    [{ type: "string", fromByte: 4, toByte: -1 }, '"430947595"'],
    [{ type: "string", fromByte: 3 }, '"2430947595"'],
    [{ type: "string", toByte: 2 }, '"48"'],
    [{ type: "string", fromByte: 1, toByte: 4 }, '"8\\r2"'],
    [{ type: "string", fromDelimiter: "\r" }, '"2430947595"'],
    [{ type: "int", fromDelimiter: "\r2", untilDelimiter: "7" }, "243094"],
    [{ type: "bool", untilDelimiter: "\r" }, "true"],
    [{ type: "json", untilDelimiter: "\r" }, "48"],
    [{ type: "string", fromByte: 9, toByte: 9 }, '""'],
  ])("reads %p as %s", (part, text) => {
    expect(encodeJson(readPart(MESSAGE, part))).toBe(text);
  });

  test.each<readonly [bytes: string, type: string, text: string]>([
    ["0", "int", "0"],
    ["0", "float", "0.0"],
    ["0", "bool", "false"],
    ["True", "bool", "true"],
    ["off", "bool", "false"],
    ["-7", "int", "-7"],
    ["9007199254740993", "int", "9007199254740993"],
    ["1e3", "float", "1000.0"],
  ])("%p is, as %s, %s", (bytes, type, text) => {
    expect(encodeJson(readPart(Buffer.from(bytes), { type }))).toBe(text);
  });

  test.each<readonly [bytes: string, part: Part]>([
    ["48", { type: "string", untilDelimiter: "X" }],
    ["48", { type: "string", fromDelimiter: "X" }],
    ["x", { type: "int" }],
    ["1.5", { type: "int" }],
    ["", { type: "float" }],
    ["0x10", { type: "float" }],
    ["Infinity", { type: "float" }],
    ["{", { type: "json" }],
  ])("refuses %p as %p", (bytes, part) => {
    expect(() => readPart(Buffer.from(bytes), part)).toThrow(DataError);
  });

  test("gives a value or a DataError for any bytes and any part", () => {
    const part = fc.record(
      {
        type: fc.constantFrom("string", "json", "int", "float", "bool", "hex"),
        fromByte: fc.integer({ min: -20, max: 20 }),
        toByte: fc.integer({ min: -20, max: 20 }),
        untilDelimiter: fc.string({ minLength: 1, maxLength: 2 }),
        fromDelimiter: fc.string({ minLength: 1, maxLength: 2 }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), part, (bytes, one) => {
        try {
          encodeJson(readPart(bytes, one));
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
  });
});

describe("SerialMessages", () => {
  test("gives the same messages however they are cut into chunks", () => {
    const parts = fc.array(fc.string({ maxLength: 10 }).map((text) => text.replaceAll("\r\n", "")));
    fc.assert(
      fc.property(parts, fc.array(fc.integer({ min: 1, max: 7 })), (texts, cuts) => {
        const wire = Buffer.from(texts.map((text) => `${text}\r\n`).join(""));
        const whole = new SerialMessages();
        whole.push(wire);
        const wanted = drain(whole, "\r\n");
        const inPieces = new SerialMessages();
        const found: string[] = [];
        let from = 0;
        for (const size of [...cuts, wire.length]) {
          inPieces.push(wire.subarray(from, from + size));
          from += size;
          found.push(...drain(inPieces, "\r\n"));
        }
        expect(found).toEqual(wanted);
        expect(found.join("")).toBe(wire.toString());
      }),
    );
  });

  test("drops a message without an end once, and goes on with the next one", () => {
    const messages = new SerialMessages();
    messages.push(Buffer.alloc(70_000, 0x41));
    expect(messages.next("\n")).toBe("too-long");
    messages.push(Buffer.alloc(70_000, 0x41));
    expect(messages.next("\n")).toBeUndefined();
    messages.push(Buffer.from("rest\ngood\n"));
    expect(drain(messages, "\n")).toEqual(["good\n"]);
    expect(messages.isInside).toBe(false);
  });
});

function drain(messages: SerialMessages, delimiter: string): string[] {
  const found: string[] = [];
  for (;;) {
    const message = messages.next(delimiter);
    if (message === undefined) {
      return found;
    }
    found.push(message === "too-long" ? message : Buffer.from(message).toString());
  }
}

const device = (own: Readonly<Record<string, Json>> = {}): Json => ({ converter: "X", ...own });

async function encode(
  own: Readonly<Record<string, Json>>,
  request: { readonly value: Json; readonly entry: Json; readonly source?: "rpc" | "attribute" },
): Promise<string> {
  await using host = new TestHost({ type: "serial" });
  const convert = await host.host.converters.downlink("SerialDownlinkConverter", device(own));
  const { source = "rpc", value, entry } = request;
  const name = source === "rpc" ? "set" : "attr1";
  const result = convert({ deviceName: "SerialDevice1", source, name, value, entry });
  return Buffer.from(result ?? "").toString(typeof result === "string" ? "utf8" : "hex");
}

describe("SerialDownlinkConverter", () => {
  test.each<readonly [type: string, value: Json, byteorder: string, wire: string]>([
    ["int", 300, "big", "012c"],
    ["int", 300, "little", "2c01"],
    ["int", "300", "big", "012c"],
    ["int", 255, "big", "ff"],
    ["int", 0, "big", ""],
    ["float", 1.5, "big", "3fc00000"],
    ["float", 1.5, "little", "0000c03f"],
    ["float", 0.1, "big", "3fb999999999999a"],
    ["double", 25, "big", "41c80000"],
    ["string", "on\r\n", "big", "on\r\n"],
  ])("sends %s %p (%s) as %p", async (type, value, byteorder, wire) => {
    expect(await encode({ byteorder }, { value, entry: { method: "set", type } })).toBe(wire);
  });

  test.each<readonly [type: string, value: Json]>([
    ["int", -1],
    ["int", 1.5],
    ["int", "x"],
    ["float", "x"],
    ["float", true],
    ["string", 5],
    ["string", { a: 1 }],
  ])("refuses %s %p", async (type, value) => {
    await expect(encode({}, { value, entry: { method: "set", type } })).rejects.toThrow(DataError);
  });

  test("fills stringToDevice of an attribute", async () => {
    const entry = {
      attributeOnPlatform: "attr1",
      stringToDevice: "${deviceName} (${deviceType}): value = ${attr1}\n",
    };
    const sent = { source: "attribute", value: 25, entry } as const;
    expect(await encode({ deviceType: "d" }, sent)).toBe("SerialDevice1 (d): value = 25\n");
    const wrong = { ...sent, entry: { ...entry, stringToDevice: "${attr2}" } };
    await expect(encode({}, wrong)).rejects.toThrow("there is no value for ${attr2}");
  });
});

describe("SerialUplinkConverter", () => {
  test("one value that is not there costs no other", () => {
    const { value } = parseConfig(serialDevice, {
      reportStrategy: { type: "ON_CHANGE" },
      telemetry: [
        { key: "humidity", type: "float", untilDelimiter: "\r" },
        { key: "none", type: "int", untilDelimiter: "X" },
      ],
      attributes: [
        {
          key: "serialNumber",
          type: "string",
          fromByte: 4,
          toByte: -1,
          reportStrategy: { type: "DISABLED" },
        },
      ],
    });
    if (value === undefined) {
      throw new Error("the configuration is refused");
    }
    const bad: string[] = [];
    const context = {
      log: new TestHost().host.log,
      connector: { id: "1", name: "S", type: "serial" },
    };
    const convert = uplink.create(value, context);
    const receivedTs = epochMs(1_700_000_000_000);
    const message = { payload: MESSAGE, deviceName: "d", address: "/dev/x", receivedTs };
    const data = convert(message, ({ message: text }) => bad.push(text));
    expect(encodeJson(JSON.parse(JSON.stringify(data, (_, one) => one?.value ?? one)))).toBe(
      encodeJson({
        deviceName: "d",
        deviceType: "default",
        receivedTs: 1_700_000_000_000,
        telemetry: [{ values: { humidity: 48 } }],
        attributes: { serialNumber: "430947595" },
        strategy: { type: "ON_CHANGE" },
        keyStrategies: { serialNumber: { type: "DISABLED" } },
      }),
    );
    expect(bad).toEqual(['Cannot read "none": The message has no "X"']);
  });
});

test("the other names of keys are taken, and a bad device costs only itself", () => {
  const file = renameAliases({
    devices: [
      { name: "a", type: "t", timeseries: [{ key: "x" }], uplink_converter: "Own" },
      { deviceName: "b", name: "other", bytesize: 9 },
      { deviceName: "c", serverSideRpc: [{ method: "m" }, {}] },
    ],
  });
  const { value, issues } = parseConfig(serialConfig, file);
  expect(value?.devices.map(({ deviceName }) => deviceName)).toEqual(["a", "b", "c"]);
  expect(value?.devices[0]).toMatchObject({
    deviceType: "t",
    converter: "Own",
    telemetry: [{ key: "x" }],
  });
  expect(value?.devices[1]?.bytesize).toBe(8);
  expect(value?.devices[2]?.serverSideRpc.length).toBe(1);
  expect(issues.filter(({ severity }) => severity === "error").length).toBe(2);
});
