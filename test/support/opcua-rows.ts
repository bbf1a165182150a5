import type { Json } from "../../src/sdk/model.ts";

/** A device of the plant, whatever its name. */
export const BOILER1 = "Boiler SN-001";

/** What an expression means for a value of the first boiler, as the text that is sent; nothing where there is no such value. */
export const EXPRESSIONS: readonly (readonly [string, string | undefined])[] = [
  ["${Temperature}", "81.5"],
  ["${3:Temperature}", "20.0"],
  ["${Info\\.Model}", '"BX"'],
  ["${2:Info\\.Model}", '"BX"'],
  ["${Info\\.2:Model}", '"BX"'],
  ["${Root\\.Objects\\.Boiler2\\.Temperature}", "64.0"],
  ["${Root\\.0:Objects\\.2:Boiler2\\.2:Temperature}", "64.0"],
  ["${ns=2;i=11}", "true"],
  ["ns=2;i=11", "true"],
  ["${nsu=urn:plant;i=11}", "true"],
  ["${ns=3;b=U3BlZWQ=}", "9007199254740993"],
  ["${ns=3;g=018dd02c-fd22-754a-b6d3-5fcae91cd39d}", undefined],
  ["${Zone(1)}", "7"],
  ["${Info\\.Level [%]}", "12.5"],
  ["Temperature", "81.5"],
  ["${Root.Objects.Boiler1}", undefined],
  ["${Int\\State}", "-1"],
  ["${Boiler\\d+}", undefined],
  ["${Nowhere}", undefined],
  ["${Status}", '"Running"'],
];

/** What is on the server at any time: `Server.ServerStatus.CurrentTime`. */
export const CURRENT_TIME = "${i=2258}";

/** The serial numbers of the devices that a pattern finds. */
export const PATTERNS: readonly (readonly [string, readonly string[]])[] = [
  ["Root\\.Objects\\.Boiler1", ["SN-001"]],
  ["root\\.Objects\\.Boiler1", ["SN-001"]],
  ["Root.Objects.Boiler1", ["SN-001"]],
  ["Objects\\.Boiler1", ["SN-001"]],
  ["Boiler1", ["SN-001"]],
  ["Root\\.Objects\\.Boiler\\d+", ["SN-001", "SN-002"]],
  ["Root\\.Objects\\.\\w+", ["SN-001", "SN-002"]],
  ["Root\\.Objects\\.3:Boiler1", ["SN-001"]],
  ["ns=2;s=Boiler1", ["SN-001"]],
  ["${ns=2;s=Boiler1}", ["SN-001"]],
  ["Root\\.Objects\\.Nowhere", []],
  // It is there, but has no serial number.
  ["Root\\.Objects\\.Line A", []],
  ["ns=2;i=999", []],
];

/** The name that an expression makes for the first boiler; nothing where it makes none. */
export const NAMES: readonly (readonly [string, string | undefined])[] = [
  ["${Root\\.Objects\\.Boiler1\\.SerialNumber}-${ns=2;i=14}", "SN-001-BX"],
  ["${ns=2;i=12} / ${ns=2;i=14}", "SN-001 / BX"],
  ["${Missing}", undefined],
  ["${ns=2;i=999}", undefined],
  ["${Zone(1)}", "7"],
  ["${Running}", "True"],
  ["${3:Temperature}", "20.0"],
  ["${Status}", "Running"],
  ["plain", "plain"],
];

/** Methods of the mapping that the calls below need. */
export const METHODS: readonly Json[] = [
  { method: "Reset", arguments: [{ type: "integer" }] },
  { method: "Missing", arguments: [] },
];

const NO_NODE =
  "The node id refers to a node that does not exist in the server address space.(BadNodeIdUnknown)";
const NO_MATCH = "The requested operation has no match to return.(BadNoMatch)";

/** Calls of the first boiler with the beginnings of their answers, in order: some need what others have written. */
export const CALLS: readonly (readonly [string, Json, string])[] = [
  ["get", "Zone(1)", '{"result":{"value":7}}'],
  ["GET", "ns=2;i=11", '{"result":{"value":true}}'],
  ["get", "Root\\.Objects\\.Boiler2\\.Temperature", '{"result":{"value":64.0}}'],
  ["get", "ns=3;b=U3BlZWQ=", '{"result":{"value":9007199254740993}}'],
  ["get", "Status", '{"result":{"value":"Running"}}'],
  ["get", "i=2255", '{"result":{"value":["http://opcfoundation.org/UA/"'],
  ["get", "Nowhere", '{"result":{"error":"Node not found: Nowhere"}}'],
  ["get", "ns=2;i=x", '{"result":{"error":"Could not find identifier in string ns=2;i=x"}}'],
  ["get", "ns=2;i=999", `{"result":{"error":"${NO_NODE}"}}`],
  ["set", "ns=2;s=B1.T; 90.25", '{"result":{"value":90.25}}'],
  ["set", "t; 81.5", '{"result":{"value":81.5}}'],
  ["set", { key: "t", value: 81.5 }, '{"result":{"value":81.5}}'],
  ["set", "Running; false", '{"result":{"value":false}}'],
  ["set", "Running= 1", '{"result":{"value":true}}'],
  ["set", "ns=3;b=U3BlZWQ=; 9007199254740993", '{"result":{"value":9007199254740993}}'],
  ["set", "Zone(1); abc", '{"result":{"error":"\\"abc\\" is no value for Int32"}}'],
  ["set", "Zone(1); 3000000000", '{"result":{"error":"value 3000000000 out of range for Int32"}}'],
  ["set", "Nowhere; 5", '{"result":{"error":"Node not found: Nowhere"}}'],
  ["set", "ns=2;s=Boiler1; 5", '{"result":{"error":"'],
  ["set", "Zone(1);35", '{"result":{"error":"'],
  ["Reset", [2], '{"result":{"result":true}}'],
  ["Reset", ["1"], '{"result":{"result":false}}'],
  ["Reset", [], '{"result":"Expected 1 arguments, but got 0"}'],
  ["Reset", 5, '{"result":"The arguments must be specified in the square quotes []"}'],
  ["Reset", [70_000], '{"result":{"error":"value 70000 out of range for Int16"}}'],
  ["Missing", null, `{"result":{"error":"${NO_MATCH}"}}`],
  ["other", null, '{"result":{"error":"Requested rpc method is not found in config"}}'],
];
