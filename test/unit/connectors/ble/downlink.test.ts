import { describe, expect, test } from "bun:test";
import { encodeValue, readPairs, readReply } from "../../../../connectors/ble/downlink.ts";
import type { UpdateItem } from "../../../../connectors/ble/item-config.ts";
import { DataError } from "../../../../src/sdk/errors.ts";
import { Float, type Json } from "../../../../src/sdk/model.ts";

const hex = (value: Json, encoding: UpdateItem["encoding"] = "utf8"): string =>
  Buffer.from(encodeValue(value, encoding)).toString("hex");
const text = (value: Json): string => Buffer.from(encodeValue(value, "utf8")).toString();

describe("values on their way down", () => {
  test("as text: the Python words for booleans and null, JSON for the rest", () => {
    expect(hex("Kitchen")).toBe("4b69746368656e");
    expect([21.5, 3, true, false, null, { a: [1, "x"] }].map(text)).toEqual([
      "21.5",
      "3",
      "True",
      "False",
      "None",
      '{"a":[1,"x"]}',
    ]);
  });

  test("as bytes and numbers", () => {
    expect(hex("0A01", "hex")).toBe("0a01");
    expect(hex(-2, "int16le")).toBe("feff");
    expect(hex("300", "uint16be")).toBe("012c");
    expect(hex(new Float(1.5), "floatbe")).toBe("3fc00000");
    expect(hex(-2n, "int64be")).toBe("fffffffffffffffe");
  });

  test.each<[Json, UpdateItem["encoding"]]>([
    ["0A0", "hex"],
    [5, "hex"],
    [256, "uint8"],
    [-129, "int8"],
    ["north", "uint8"],
    [2n ** 63n, "int64le"],
    [null, "floatle"],
  ])("%p does not fit %s", (value, encoding) => {
    expect(() => encodeValue(value, encoding)).toThrow(DataError);
  });
});

test("a read answers JSON where the text is JSON, else the text, else hex", () => {
  expect(readReply(Buffer.from("Mi T"))).toBe("Mi T");
  expect(readReply(Uint8Array.of(0x35))).toBe(5);
  expect(readReply(Buffer.from('{"a":true}'))).toEqual({ a: true });
  expect(readReply(Uint8Array.of(0xff, 0xfe))).toBe("fffe");
});

test("pairs of the reserved methods: the first = separates", () => {
  expect([...readPairs("characteristicUUID=2a00;value=a=b;none;=x;")]).toEqual([
    ["characteristicUUID", "2a00"],
    ["value", "a=b"],
  ]);
  expect(readPairs({ a: 1 }).size).toBe(0);
});
