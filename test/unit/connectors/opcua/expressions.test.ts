import { describe, expect, test } from "bun:test";
import { nameText } from "../../../../connectors/opcua/device-name.ts";
import { endpointOf } from "../../../../connectors/opcua/endpoint.ts";
import {
  matchSegment,
  parseNodeExpression,
  parseTemplate,
} from "../../../../connectors/opcua/node-expression.ts";
import { formatNodeId, parseNodeId } from "../../../../connectors/opcua/node-id.ts";
import { Float } from "../../../../src/sdk/model.ts";

describe("a path", () => {
  const path = (absolute: boolean, ...segments: string[]) => ({ kind: "path", absolute, segments });
  test.each<[string, ReturnType<typeof path>]>([
    ["Root\\.Objects\\.Line A", path(true, "Objects", "Line A")],
    ["root\\.Objects\\.Boiler1", path(true, "Objects", "Boiler1")],
    ["Root.Objects.Boiler1", path(true, "Objects", "Boiler1")],
    ["Objects\\.Boiler1", path(false, "Objects", "Boiler1")],
    ["Root\\.Objects\\.Boiler\\d+", path(true, "Objects", "Boiler\\d+")],
    ["${Info\\.Level [%]}", path(false, "Info", "Level [%]")],
    [" ${ 3:Temperature } ", path(false, "3:Temperature")],
    ["${Int\\State}", path(false, "Int\\State")],
    ["Temperature", path(false, "Temperature")],
    ["a.b", path(false, "a.b")],
  ])("%s", (text, expected) => {
    expect(parseNodeExpression(text)).toEqual(expected as ReturnType<typeof parseNodeExpression>);
  });

  test.each(["", "${}", "\\."])("%p is none", (text) => {
    expect(() => parseNodeExpression(text)).toThrow(/missing|names no node/);
  });
});

describe("a node id", () => {
  test.each([
    ["ns=2;s=Boiler1", "ns=2;s=Boiler1"],
    ["ns=0;i=85", "i=85"],
    ["i=2258", "i=2258"],
    ["ns=2;s=a;b=c", "ns=2;s=a;b=c"],
    ["ns=3;g=018DD02C-fd22-754a-b6d3-5fcae91cd39d", "ns=3;g=018dd02c-fd22-754a-b6d3-5fcae91cd39d"],
    ["ns=3;b=U3BlZWQ=", "ns=3;b=U3BlZWQ="],
    ["ns=3;b=0x5370656564", "ns=3;b=U3BlZWQ="],
    ["nsu=urn:plant;i=5", "nsu=urn:plant;i=5"],
  ])("%s", (text, expected) => {
    expect(formatNodeId(parseNodeId(text))).toBe(expected);
  });

  test.each(["ns=2;i=x", "ns=70000;i=1", "ns=2;g=1", "i=4294967296", "ns=2;i="])(
    "%s is none",
    (text) => {
      expect(() => parseNodeId(text)).toThrow("is not a node id");
    },
  );
});

describe("a segment", () => {
  const children = [
    { namespace: 2, name: "Temperature" },
    { namespace: 3, name: "Temperature" },
    { namespace: 2, name: "Boiler1" },
    { namespace: 2, name: "Boiler2" },
    { namespace: 2, name: "Zone(1)" },
    { namespace: 2, name: "Level [%]" },
    { namespace: 3, name: "Line A" },
    { namespace: 2, name: "A:B" },
  ];
  const found = (segment: string): readonly string[] =>
    matchSegment(segment, children).found.map(({ namespace, name }) => `${namespace}:${name}`);
  test.each([
    ["Temperature", ["2:Temperature", "3:Temperature"]],
    ["3:Temperature", ["3:Temperature"]],
    ["3:Boiler1", ["2:Boiler1"]],
    ["Boiler\\d+", ["2:Boiler1", "2:Boiler2"]],
    ["Boiler\\d+$", ["2:Boiler1", "2:Boiler2"]],
    ["\\w+", ["2:Temperature", "3:Temperature", "2:Boiler1", "2:Boiler2"]],
    ["Zone(1)", ["2:Zone(1)"]],
    ["Level [%]", ["2:Level [%]"]],
    ["A:B", ["2:A:B"]],
    ["Boiler", []],
    ["(", []],
  ])("%s", (segment, expected) => {
    expect(found(segment)).toEqual(expected);
  });

  test("says when it had to take another namespace", () => {
    expect(matchSegment("3:Boiler1", children).otherNamespace).toBe(true);
    expect(matchSegment("2:Boiler1", children).otherNamespace).toBe(false);
  });

  test("a pattern of more than 200 characters is a name", () => {
    expect(found("\\w*".repeat(70))).toEqual([]);
  });
});

test("a name has as many nodes as it names", () => {
  const parts = parseTemplate("${Root\\.Objects\\.A}-${ns=2;i=14}!");
  expect(parts.map((part) => part.text)).toEqual([
    "${Root\\.Objects\\.A}",
    "-",
    "${ns=2;i=14}",
    "!",
  ]);
});

test("values in names are written as the Python gateway writes them", () => {
  expect([true, new Float(5), 5, "x", null].map(nameText)).toEqual([
    "True",
    "5.0",
    "5",
    "x",
    undefined,
  ]);
});

test.each([
  ["10.0.0.5:4840/x", "opc.tcp://10.0.0.5:4840/x", undefined],
  ["opc.tcp://a:4840", "opc.tcp://a:4840", undefined],
  ["opc.tcp://me:p%40ss@a:4840/x", "opc.tcp://a:4840/x", { name: "me", password: "p@ss" }],
])("the address %s", (text, url, user) => {
  expect(endpointOf(text)).toEqual({ url, name: url, user });
});
