import "reflect-metadata";
import type { UAObject } from "node-opcua-address-space";
import {
  coerceLocalizedText,
  coerceNodeId,
  coerceQualifiedName,
  DataType,
  StatusCodes,
  Variant,
  VariantArrayType,
} from "node-opcua-client";
import { Range } from "node-opcua-data-access";
import type { Json } from "../../src/sdk/model.ts";
import type { Plant } from "./opcua-plant.ts";
import type { PlantServer } from "./opcua-server.ts";

/** The device that has a variable of each type. */
export const TYPES_DEVICE = "Types";
/** Its node. */
export const TYPES_PATTERN = "Root\\.Objects\\.Types";

interface Typed {
  readonly type: DataType;
  readonly value: unknown;
  /** What goes up, as text; nothing when there is no value. */
  readonly sent: string | undefined;
  readonly arrayType?: VariantArrayType;
  readonly dimensions?: number[];
}

const list = { arrayType: VariantArrayType.Array };
const bytes = Buffer.from([1, 0xab]);
const guid = "018DD02C-FD22-754A-B6D3-5FCAE91CD39D";
const text = coerceLocalizedText({ locale: "en", text: "Running" });

/** A variable for each kind of value, by its name. */
export const TYPED: Readonly<Record<string, Typed>> = {
  Boolean: { type: DataType.Boolean, value: true, sent: "true" },
  SByte: { type: DataType.SByte, value: -128, sent: "-128" },
  Byte: { type: DataType.Byte, value: 255, sent: "255" },
  Int16: { type: DataType.Int16, value: -32_768, sent: "-32768" },
  UInt16: { type: DataType.UInt16, value: 65_535, sent: "65535" },
  Int32: { type: DataType.Int32, value: -5, sent: "-5" },
  UInt32: { type: DataType.UInt32, value: 4_294_967_295, sent: "4294967295" },
  Int64: { type: DataType.Int64, value: [0x20_0000, 1], sent: "9007199254740993" },
  UInt64: {
    type: DataType.UInt64,
    value: [0xffff_ffff, 0xffff_ffff],
    sent: '"18446744073709551615"',
  },
  Float: { type: DataType.Float, value: 23.1, sent: "23.100000381469727" },
  Tenth: { type: DataType.Float, value: 0.1, sent: "0.1000000014901161" },
  Double: { type: DataType.Double, value: 25, sent: "25.0" },
  Small: { type: DataType.Double, value: 1e-10, sent: "0.0000000001" },
  NaN: { type: DataType.Double, value: Number.NaN, sent: undefined },
  String: { type: DataType.String, value: "a", sent: '"a"' },
  Null: { type: DataType.String, value: null, sent: undefined },
  DateTime: {
    type: DataType.DateTime,
    value: new Date("2026-03-01T10:00:00.250Z"),
    sent: '"2026-03-01T10:00:00.250000+00:00"',
  },
  Second: {
    type: DataType.DateTime,
    value: new Date("2026-03-01T10:00:00Z"),
    sent: '"2026-03-01T10:00:00+00:00"',
  },
  Never: {
    type: DataType.DateTime,
    value: new Date("1601-01-01T00:00:00Z"),
    sent: '"1601-01-01T00:00:00+00:00"',
  },
  Guid: { type: DataType.Guid, value: guid, sent: `"${guid.toLowerCase()}"` },
  ByteString: { type: DataType.ByteString, value: bytes, sent: '"01ab"' },
  XmlElement: { type: DataType.XmlElement, value: "<a/>", sent: '"<a/>"' },
  NodeId: { type: DataType.NodeId, value: coerceNodeId("ns=2;s=B1.T"), sent: '"ns=2;s=B1.T"' },
  RootId: { type: DataType.NodeId, value: coerceNodeId("i=85"), sent: '"i=85"' },
  StatusCode: { type: DataType.StatusCode, value: StatusCodes.BadTimeout, sent: '"BadTimeout"' },
  QualifiedName: {
    type: DataType.QualifiedName,
    value: coerceQualifiedName({ namespaceIndex: 2, name: "Name" }),
    sent: '"2:Name"',
  },
  LocalizedText: { type: DataType.LocalizedText, value: text, sent: '"Running"' },
  Structure: {
    type: DataType.ExtensionObject,
    value: new Range({ low: 0, high: 100 }),
    sent: '{"Low":0.0,"High":100.0}',
  },
  List: { type: DataType.Int32, value: Int32Array.of(1, 2, 3), ...list, sent: "[1,2,3]" },
  Empty: { type: DataType.Double, value: new Float64Array(0), ...list, sent: "[]" },
  Words: { type: DataType.String, value: ["a", null], ...list, sent: '["a",null]' },
  Matrix: {
    type: DataType.Int32,
    value: Int32Array.of(1, 2, 3, 4),
    arrayType: VariantArrayType.Matrix,
    dimensions: [2, 2],
    sent: "[[1,2],[3,4]]",
  },
};

/** Adds the device with its variables and methods. */
export function addTypes(server: PlantServer): void {
  const { own } = server.plant;
  const space = server.server.engine.addressSpace;
  const types = own.addObject({
    organizedBy: space?.rootFolder.objects ?? "i=85",
    browseName: TYPES_DEVICE,
    nodeId: "s=Types",
  });
  for (const [name, one] of Object.entries(TYPED)) {
    const { type, value, arrayType = VariantArrayType.Scalar, dimensions } = one;
    const rank = arrayType === VariantArrayType.Scalar ? -1 : (dimensions?.length ?? 1);
    const variable = own.addVariable({
      componentOf: types,
      browseName: name,
      nodeId: `s=Types ${name}`,
      dataType: one.value instanceof Range ? "Range" : DataType[type],
      valueRank: rank,
      ...(dimensions === undefined ? {} : { arrayDimensions: dimensions }),
      accessLevel: "CurrentRead | CurrentWrite",
      userAccessLevel: "CurrentRead | CurrentWrite",
    });
    const shape = dimensions === undefined ? { arrayType } : { arrayType, dimensions };
    variable.setValueFromSource(new Variant({ dataType: type, value, ...shape }));
  }
  own
    .addVariable({
      componentOf: types,
      browseName: "Anything",
      nodeId: "s=Types Anything",
      dataType: "BaseDataType",
      accessLevel: "CurrentRead | CurrentWrite",
      userAccessLevel: "CurrentRead | CurrentWrite",
    })
    .setValueFromSource(new Variant({ dataType: DataType.UInt16, value: 5 }));
  addMethods(server.plant, types);
}

/** Methods without arguments, with two, with two results, and one that never answers. */
function addMethods({ own }: Plant, types: UAObject): void {
  const argument = (name: string, dataType: DataType) => ({ name, dataType });
  const int32 = (value: number): Variant => new Variant({ dataType: DataType.Int32, value });
  const add = (
    browseName: string,
    inputArguments: { name: string; dataType: DataType }[],
    results: (inputs: readonly Variant[]) => Variant[] | undefined,
  ): void => {
    const method = own.addMethod(types, {
      browseName,
      nodeId: `s=Types ${browseName}`,
      inputArguments,
      outputArguments: [],
    });
    method.bindMethod((inputs, _context, callback) => {
      const outputArguments = results(inputs);
      if (outputArguments !== undefined) {
        callback(null, { statusCode: StatusCodes.Good, outputArguments });
      }
    });
  };
  const two = [argument("one", DataType.Int32), argument("other", DataType.Int32)];
  add("Nothing", [], () => []);
  add("Multiply", two, ([one, other]) => [int32(Number(one?.value) * Number(other?.value))]);
  add("Pair", [], () => [int32(1), new Variant({ dataType: DataType.String, value: "b" })]);
  add("Text", [argument("text", DataType.String)], ([one]) => (one === undefined ? [] : [one]));
  add("Forever", [], () => undefined);
}

/** Methods of the mapping that the calls below need. */
export const TYPES_METHODS: readonly Json[] = [
  { method: "Nothing", arguments: [] },
  { method: "Multiply", arguments: [{ value: 0 }, { value: 3 }] },
  { method: "Pair", arguments: [] },
  { method: "Text", arguments: [] },
  { method: "Forever", arguments: [], timeout: 200 },
];

/** The value that is written as the text of `set` to one of the variables, and the answer: the value, or what is wrong with it. */
const WRITES: readonly (readonly [string, string, string | { readonly error: string }])[] = [
  // Each way to write a command.
  ["Int32; 56;", "", "56"],
  ["Int32= 35   ;", "", "35"],
  ["Int32 36", "", "36"],
  ["ns=2;s=Types Int32; 57;", "", "57"],
  ["ns=2;s=Types Int32;58", "", "58"],
  ["ns=2;s=Types Int32;=59", "", "59"],
  ["ns=2;i=16; 60;", "", "60"],
  ["ns=2;i=16 61", "", "61"],
  ["ns=2;i=16;62", "", "62"],
  ["ns=2;i=16;=7", "", "7"],
  [
    "ns=2;i=16=56",
    "",
    { error: '"ns=2;i=16=56" has no value: write <node id, key or path>; <value>' },
  ],
  ["Int32;35", "", { error: '"Int32;35" has no value: write <node id, key or path>; <value>' }],
  ["Root\\.Objects\\.Types\\.String; New Message", "", '"New Message"'],
  ["String hello world", "", '"hello world"'],
  ["String; a; b", "", '"a; b"'],
  ["String= a=b", "", '"a=b"'],
  ["String=", "", '""'],
  // Each type.
  ["Boolean", "TRUE", "true"],
  ["Boolean", "0", "false"],
  ["Boolean", "2", { error: '"2" is no value for Boolean' }],
  ["SByte", "-129", { error: "value -129 out of range for SByte" }],
  ["Byte", "5.0", "5"],
  ["Byte", "300", { error: "value 300 out of range for Byte" }],
  ["Int16", "-1", "-1"],
  ["UInt16", "70000", { error: "value 70000 out of range for UInt16" }],
  ["UInt32", "7", "7"],
  ["Int64", "-9007199254740993", "-9007199254740993"],
  ["UInt64", "18446744073709551615", '"18446744073709551615"'],
  ["Float", "1.5", "1.5"],
  ["Double", "-90.25", "-90.25"],
  ["Double", "x", { error: '"x" is no value for Double' }],
  ["DateTime", "2026-03-01T10:00:00Z", '"2026-03-01T10:00:00+00:00"'],
  ["DateTime", "1772359200250", '"2026-03-01T10:00:00.250000+00:00"'],
  ["DateTime", "tomorrow", { error: '"tomorrow" is no value for DateTime' }],
  ["Guid", guid, `"${guid.toLowerCase()}"`],
  ["ByteString", "01AB", '"01ab"'],
  ["ByteString", "xy", { error: '"xy" is no value for ByteString: write hexadecimal digits' }],
  ["NodeId", "ns=2;i=5", '"ns=2;i=5"'],
  ["QualifiedName", "2:Other", '"2:Other"'],
  ["LocalizedText", "Halted", '"Halted"'],
  ["XmlElement", "<b/>", '"<b/>"'],
  ["Anything", "7", "7"],
  ["List", "[4, 5]", "[4,5]"],
  ["List", "4", { error: "" }],
  ["Structure", "1", { error: "a value of type ExtensionObject cannot be written" }],
];

/** Calls of the device with the beginnings of their answers, in order. */
export const TYPES_CALLS: readonly (readonly [string, Json, string])[] = [
  ["get", "Null", '{"result":{"value":null}}'],
  ...WRITES.map(
    ([target, value, answer]) =>
      [
        "set",
        value === "" ? target : `${target}; ${value}`,
        typeof answer === "string"
          ? `{"result":{"value":${answer}}}`
          : `{"result":{"error":${JSON.stringify(answer.error).slice(0, answer.error === "" ? 1 : undefined)}`,
      ] as const,
  ),
  ["set", { key: "List", value: [6, 7] }, '{"result":{"value":[6,7]}}'],
  [
    "set",
    { nodeId: "ns=2;s=Types LocalizedText", value: { text: "Hi", locale: "de" } },
    '{"result":{"value":"Hi"}}',
  ],
  ["get", "LocalizedText", '{"result":{"value":"Hi"}}'],
  ["get", "Int64", '{"result":{"value":-9007199254740993}}'],
  ["Nothing", null, '{"result":{"result":null}}'],
  ["Multiply", [7, 8], '{"result":{"result":56}}'],
  ["Multiply", null, '{"result":{"result":0}}'],
  ["Multiply", [7], '{"result":"Expected 2 arguments, but got 1"}'],
  ["Multiply", 7, '{"result":"The arguments must be specified in the square quotes []"}'],
  ["Pair", [], '{"result":{"result":[1,"b"]}}'],
  ["Text", "abc", '{"result":{"result":"abc"}}'],
  ["Text", [], '{"result":"Expected 1 arguments, but got 0"}'],
  ["Forever", null, '{"result":{"error":"Timeout rpc has been reached for Types"}}'],
];
