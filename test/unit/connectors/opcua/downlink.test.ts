import { describe, expect, test } from "bun:test";
import { BUILTIN } from "../../../../connectors/opcua/codec.ts";
import { coerceValue } from "../../../../connectors/opcua/coercion.ts";
import { chooseArguments, parseGet, parseSet } from "../../../../connectors/opcua/downlink.ts";
import { encodeJson } from "../../../../src/sdk/encode.ts";
import { Float, type Json } from "../../../../src/sdk/model.ts";

describe("set", () => {
  test.each([
    ["ns=2;i=13; 56;", "ns=2;i=13", "56"],
    ["ns=2;i=13 56", "ns=2;i=13", "56"],
    ["ns=2;i=13;56", "ns=2;i=13", "56"],
    ["ns=2;i=13;=56", "ns=2;i=13", "56"],
    ["ns=2;s=Txt; hello world", "ns=2;s=Txt", "hello world"],
    ["ns=2;s=Txt; a; b", "ns=2;s=Txt", "a; b"],
    ["ns=2;i=13 a=b", "ns=2;i=13", "a=b"],
    ["ns=3;s=My Node; 5", "ns=3;s=My Node", "5"],
    ["Frequency; 35;", "Frequency", "35"],
    ["Frequency= 35   ;", "Frequency", "35"],
    ["Frequency 35", "Frequency", "35"],
    ["Root\\.Objects\\.T\\.Text; New Message", "Root\\.Objects\\.T\\.Text", "New Message"],
    ["Text hello world", "Text", "hello world"],
    ["Name= a=b", "Name", "a=b"],
    ["Freq=", "Freq", ""],
  ])("%s", (params, target, value) => {
    expect(parseSet(params)).toEqual({ target, value });
  });

  test("takes an object with any value", () => {
    expect(parseSet({ key: "t", value: [1, 2] })).toEqual({ target: "t", value: [1, 2] });
    expect(parseSet({ nodeId: "i=85", value: false })).toEqual({ target: "i=85", value: false });
  });

  test.each(["Frequency;35", "ns=2;i=13=56", "ns=2;i=13", "", 5])("refuses %p", (params) => {
    expect(() => parseSet(params)).toThrow(/has no value|takes a text/);
  });
});

test.each([
  ["ns=2;i=13; ", "ns=2;i=13"],
  [" Temperature;", "Temperature"],
])("get %p", (params, target) => {
  expect(parseGet(params)).toEqual({ target, value: undefined });
});

describe("the arguments of a method", () => {
  const unset = [{}, { value: null }];
  const set = [{ value: 0 }, { value: "" }];
  test.each<[string, readonly { value?: unknown }[], Json, readonly unknown[]]>([
    ["those of the call without a configuration", [], [1, "a"], [1, "a"]],
    ["nothing", [], null, []],
    ["one value", [], "abc", ["abc"]],
    ["those of the call", unset, [7, 8], [7, 8]],
    ["those of the configuration, also 0 and an empty text", set, null, [0, ""]],
    ["the configuration when the list is empty", set, [], [0, ""]],
  ])("%s", (_name, configured, params, expected) => {
    expect(chooseArguments(configured, params)).toEqual(expected);
  });

  test.each<[readonly { value?: unknown }[], Json, string]>([
    [unset, "abc", "The arguments must be specified in the square quotes []"],
    [unset, [1], "Expected 2 arguments, but got 1"],
    [unset, null, "Expected 2 arguments, but got 0"],
    [set, [1, 2, 3], "Expected 2 arguments, but got 3"],
    [
      [{ value: 1 }, {}],
      null,
      "You must either define values for arguments in config or along with rpc request",
    ],
  ])("%p with %p: %s", (configured, params, message) => {
    expect(() => chooseArguments(configured, params)).toThrow(message);
  });
});

describe("a value for a node", () => {
  test.each<[string, Json, number, unknown]>([
    ["TRUE", "TRUE", BUILTIN.Boolean, true],
    ["0", "0", BUILTIN.Boolean, false],
    ["1", 1, BUILTIN.Boolean, true],
    ["5.0", "5.0", BUILTIN.Int16, 5],
    ["a float that is whole", new Float(7), BUILTIN.Byte, 7],
    ["90.25", "90.25", BUILTIN.Double, 90.25],
    ["2^53+1", "9007199254740993", BUILTIN.Int64, [0x20_0000, 1]],
    ["-1", -1, BUILTIN.Int64, [0xffff_ffff, 0xffff_ffff]],
    ["2^64-1", 2n ** 64n - 1n, BUILTIN.UInt64, [0xffff_ffff, 0xffff_ffff]],
    ["5 as text", 5, BUILTIN.String, "5"],
    ["a date", "2026-03-01T10:00:00Z", BUILTIN.DateTime, new Date("2026-03-01T10:00:00Z")],
    ["milliseconds", 1_772_359_200_000, BUILTIN.DateTime, new Date(1_772_359_200_000)],
    ["bytes", "01aB", BUILTIN.ByteString, Buffer.from([1, 0xab])],
    ["a name", "2:Name", BUILTIN.QualifiedName, { namespaceIndex: 2, name: "Name" }],
    ["a text", "Hi", BUILTIN.LocalizedText, { text: "Hi", locale: null }],
    [
      "a text with its language",
      { text: "Hi", locale: "en" },
      BUILTIN.LocalizedText,
      { text: "Hi", locale: "en" },
    ],
  ])("%s", (_name, value, builtin, expected) => {
    expect(coerceValue(value, { builtin, isArray: false }).value).toEqual(expected);
  });

  test("without a type of the node the value decides", () => {
    const types = [true, 5, new Float(5), "5"].map(
      (value) => coerceValue(value, { builtin: undefined, isArray: false }).builtin,
    );
    expect(types).toEqual([BUILTIN.Boolean, BUILTIN.Int64, BUILTIN.Double, BUILTIN.String]);
  });

  test("lists, also as text", () => {
    const type = { builtin: BUILTIN.Double, isArray: true };
    expect(coerceValue([1, "2.5"], type).value).toEqual([1, 2.5]);
    expect(encodeJson(coerceValue("[1,2]", type).shown)).toBe("[1.0,2.0]");
  });

  test.each<[Json, number, string]>([
    [300, BUILTIN.Byte, "value 300 out of range for Byte"],
    [1.5, BUILTIN.Int32, "1.5 is no value for Int32"],
    ["x", BUILTIN.Double, '"x" is no value for Double'],
    ["2", BUILTIN.Boolean, '"2" is no value for Boolean'],
    ["tomorrow", BUILTIN.DateTime, '"tomorrow" is no value for DateTime'],
    [null, BUILTIN.Double, "null is no value for Double"],
    [{}, BUILTIN.String, "{} is no value for String"],
    ["x", BUILTIN.ExtensionObject, "a value of type ExtensionObject cannot be written"],
  ])("refuses %p for type %p", (value, builtin, message) => {
    expect(() => coerceValue(value, { builtin, isArray: false })).toThrow(message);
  });
});
