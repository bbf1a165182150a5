import { describe, expect, test } from "bun:test";
import { BUILTIN, convertValue } from "../../../../connectors/opcua/codec.ts";
import { encodeJson } from "../../../../src/sdk/encode.ts";

const B = BUILTIN;
const node = { namespace: 2, identifierType: 2, value: "B1.T" };

/** What goes up, as text; nothing when there is no value. */
function sent(dataType: number, value: unknown, rest: object = {}, python = false): string {
  const variant = { dataType, arrayType: 0, dimensions: null, value, ...rest };
  const json = convertValue(variant, { python });
  return json === undefined ? "" : encodeJson(json);
}

describe("single values", () => {
  test.each<[string, number, unknown, string]>([
    ["Boolean", B.Boolean, true, "true"],
    ["Byte", B.Byte, 255, "255"],
    ["Int64 beyond 2^53", B.Int64, [0x20_0000, 1], "9007199254740993"],
    ["Int64 below zero", B.Int64, [0xffff_ffff, 0xffff_ffff], "-1"],
    ["UInt64 2^64-1", B.UInt64, [0xffff_ffff, 0xffff_ffff], '"18446744073709551615"'],
    ["Float 23.1", B.Float, Math.fround(23.1), "23.100000381469727"],
    ["Float 0.1", B.Float, Math.fround(0.1), "0.1000000014901161"],
    ["Double 25", B.Double, 25, "25.0"],
    ["Double NaN", B.Double, Number.NaN, ""],
    ["Double infinity", B.Double, Number.POSITIVE_INFINITY, ""],
    ["String", B.String, "a", '"a"'],
    ["String null", B.String, null, ""],
    ["DateTime", B.DateTime, new Date("2026-03-01T10:00:00Z"), '"2026-03-01T10:00:00+00:00"'],
    [
      "DateTime with a fraction",
      B.DateTime,
      new Date("2026-03-01T10:00:00.250Z"),
      '"2026-03-01T10:00:00.250000+00:00"',
    ],
    ["DateTime 1601", B.DateTime, new Date("1601-01-01T00:00:00Z"), '"1601-01-01T00:00:00+00:00"'],
    [
      "Guid",
      B.Guid,
      "018DD02C-FD22-754A-B6D3-5FCAE91CD39D",
      '"018dd02c-fd22-754a-b6d3-5fcae91cd39d"',
    ],
    ["ByteString", B.ByteString, Buffer.from([1, 0xab]), '"01ab"'],
    ["XmlElement", B.XmlElement, "<a/>", '"<a/>"'],
    ["NodeId", B.NodeId, node, '"ns=2;s=B1.T"'],
    ["NodeId of namespace 0", B.NodeId, { namespace: 0, identifierType: 1, value: 85 }, '"i=85"'],
    [
      "ExpandedNodeId",
      B.ExpandedNodeId,
      { ...node, serverIndex: 3, namespaceUri: "urn:x" },
      '"ns=2;s=B1.T;srv=3;nsu=urn:x"',
    ],
    ["StatusCode", B.StatusCode, { value: 1, name: "BadTimeout" }, '"BadTimeout"'],
    ["QualifiedName", B.QualifiedName, { namespaceIndex: 2, name: "Name" }, '"2:Name"'],
    ["LocalizedText", B.LocalizedText, { locale: "en", text: "Running" }, '"Running"'],
    ["Variant", B.Variant, { dataType: B.Int32, arrayType: 0, dimensions: null, value: 4 }, "4"],
    ["DiagnosticInfo", B.DiagnosticInfo, {}, ""],
    ["Null", B.Null, null, ""],
    [
      "an undecoded structure",
      B.ExtensionObject,
      { nodeId: { namespace: 2, identifierType: 1, value: 5 }, buffer: Buffer.from([1, 2]) },
      '{"typeId":"ns=2;i=5","body":"0102"}',
    ],
    [
      "a structure",
      B.ExtensionObject,
      {
        low: 0,
        high: 100,
        schema: {
          fields: [
            { name: "low", originalName: "Low", fieldType: "Double" },
            { name: "high", originalName: "High", fieldType: "Double" },
          ],
        },
      },
      '{"Low":0.0,"High":100.0}',
    ],
  ])("%s", (_name, dataType, value, expected) => {
    expect(sent(dataType, value)).toBe(expected);
  });
});

describe("lists", () => {
  const list = { arrayType: 1 };
  const matrix = { arrayType: 2, dimensions: [2, 2] };
  test.each<[string, number, unknown, object, string]>([
    ["integers", B.Int32, Int32Array.of(1, 2, 3), list, "[1,2,3]"],
    ["nothing", B.Double, new Float64Array(0), list, "[]"],
    ["a matrix", B.Int32, Int32Array.of(1, 2, 3, 4), matrix, "[[1,2],[3,4]]"],
    ["a value that is none keeps its place", B.Double, [1, Number.NaN], list, "[1.0,null]"],
    ["Int64", B.Int64, [[0, 5]], list, "[5]"],
  ])("%s", (...row) => {
    const [, dataType, value, rest, expected] = row;
    expect(sent(dataType, value, rest)).toBe(expected);
  });

  test.each<[string, number, unknown, object, string]>([
    ["integers", B.Int32, [1, 2], list, '["1","2"]'],
    ["floats", B.Double, [1, 2.5, 1e16, 1e-5], list, '["1.0","2.5","1e+16","1e-05"]'],
    ["booleans", B.Boolean, [true], list, '["True"]'],
    ["bytes", B.ByteString, [Buffer.from([1])], list, "[\"b'\\\\x01'\"]"],
    [
      "dates",
      B.DateTime,
      [new Date("2026-03-01T10:00:00Z")],
      list,
      '["2026-03-01 10:00:00+00:00"]',
    ],
    ["a matrix", B.Int32, [1, 2, 3, 4], matrix, '["[1, 2]","[3, 4]"]'],
    [
      "a text with its language",
      B.LocalizedText,
      { locale: "en", text: "Running" },
      {},
      "\"LocalizedText(Locale='en', Text='Running')\"",
    ],
  ])("as the Python gateway writes %s", (...row) => {
    const [, dataType, value, rest, expected] = row;
    expect(sent(dataType, value, rest, true)).toBe(expected);
  });
});
