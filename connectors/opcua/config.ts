import * as v from "valibot";
import { entries, field, optional, required } from "#sdk/config";
import { connectorFields } from "#sdk/connector-fields";
import { reportStrategy } from "#sdk/report-strategy";
import { nodeProblem, templateProblem } from "./problems.ts";
import { serverConfig } from "./server-config.ts";

/** Name of the Python gateway's own converter: it stands for what this connector does by itself. */
export const OWN_CONVERTERS = /^(OpcUaUplinkConverter|)$/i;

/** A text that is not empty. */
const text = v.pipe(v.string(), v.nonEmpty("must not be empty"));

/** A text that one of `problems.ts` has nothing against. */
function checked(problem: (text: string) => string | undefined) {
  return v.pipe(
    v.string(),
    v.nonEmpty("must not be empty"),
    v.rawCheck(({ dataset, addIssue }) => {
      const message = dataset.typed ? problem(dataset.value) : undefined;
      if (message !== undefined) {
        addIssue({ message });
      }
    }),
  );
}

/** A path or an id. */
const node = checked(nodeProblem);
/** A text with `${…}`. */
const template = checked(templateProblem);

/** Nobody needs it: what an expression is shows in its text. */
const ignoredSource = optional(v.unknown(), {
  doc: "Not needed: the text says whether it is a path, an identifier or a constant.",
  ignored: true,
});

/** Time limit of one call or write. */
const callTimeout = field(v.pipe(v.number(), v.minValue(1), v.maxValue(3_600_000)), 5000, {
  doc: "Longest time for finding the node and the call together.",
  unit: "ms",
});

/** `deviceInfo` of a mapping. */
const deviceInfo = v.looseObject({
  deviceNameExpression: required(template, {
    doc: "Device name; every `${…}` is replaced by the value of the node it names.",
    examples: ["Boiler ${SerialNumber}"],
  }),
  deviceNameExpressionSource: ignoredSource,
  deviceProfileExpression: field(template, "default", {
    doc: "Device profile, written like the name. Used when the platform creates the device.",
  }),
  deviceProfileExpressionSource: ignoredSource,
  deviceProfileSource: ignoredSource,
});

const timestampLocation = v.pipe(
  v.string(),
  v.toLowerCase(),
  v.picklist(["gateway", "sourcetimestamp", "source", "servertimestamp", "server"]),
  v.transform((name): "gateway" | "source" | "server" =>
    name === "gateway" ? "gateway" : name.startsWith("source") ? "source" : "server",
  ),
);

const pointFields = {
  key: optional(text, { doc: "Key on the platform. Default: the BrowseName of the node." }),
  type: optional(v.unknown(), {
    doc: "`constant`: a `value` that names no node is sent as it stands. Otherwise not needed.",
  }),
  value: required(node, {
    doc: "The node: a path from the device (`${Info\\.Model}`), a path from the root (`${Root\\.Objects\\.…}`) or a node id (`ns=2;i=11`).",
    examples: ["${Temperature}", "ns=2;s=B1.T"],
  }),
  reportStrategy: optional(reportStrategy, { doc: "When this key goes up." }),
};

/** One entry of `attributes`. */
const attributePoint = v.looseObject(pointFields);

/** One entry of `timeseries`. */
const timeseriesPoint = v.looseObject({
  ...pointFields,
  timestampLocation: field(timestampLocation, "gateway", {
    doc: "Whose time a value carries: `gateway` (arrival), `sourcetimestamp` or `servertimestamp`.",
  }),
});

/** One entry of `attributes_updates`. */
const attributeUpdate = v.looseObject({
  key: required(text, { doc: "Shared attribute." }),
  value: required(node, { doc: "The node it is written to." }),
  type: ignoredSource,
  timeout: callTimeout,
});

const methodArgument = v.looseObject({
  type: optional(v.unknown(), {
    doc: "Not needed: the method tells its types.",
    ignored: true,
  }),
  value: optional(v.unknown(), { doc: "Used when the call comes without arguments." }),
});

/** One entry of `rpc_methods`. */
const rpcMethod = v.looseObject({
  method: required(text, { doc: "BrowseName of the method, without its namespace." }),
  arguments: field(entries(methodArgument), [], { doc: "Arguments, in order." }),
  timeout: callTimeout,
});

/** One entry of `mapping`: one device, or one for each node that the pattern finds. */
const mapping = v.looseObject({
  deviceNodePattern: required(node, {
    doc: "Base node of the device: a path from the root or a node id. A segment may be a regular expression: one device for each match.",
    examples: ["Root\\.Objects\\.Boiler\\d+", "ns=2;s=Boiler1"],
  }),
  deviceNodeSource: ignoredSource,
  deviceInfo: required(deviceInfo, { doc: "Name and profile of the device." }),
  converter: optional(v.string(), {
    doc: "Name of a converter of your own.",
    converter: { kind: "uplink", own: OWN_CONVERTERS },
  }),
  reportStrategy: optional(reportStrategy, { doc: "When values of the device go up." }),
  attributes: field(entries(attributePoint), [], { doc: "Nodes that become client attributes." }),
  timeseries: field(entries(timeseriesPoint), [], { doc: "Nodes that become time series." }),
  attributes_updates: field(entries(attributeUpdate), [], {
    doc: "Shared attributes that are written to nodes.",
  }),
  rpc_methods: field(entries(rpcMethod), [], { doc: "Methods that may be called by RPC." }),
});

/** The connector file of an OPC UA connector: one server. */
export const opcuaConfig = v.looseObject({
  ...connectorFields,
  server: required(serverConfig, { doc: "The OPC UA server." }),
  mapping: field(entries(mapping), [], { doc: "Which nodes become which devices and values." }),
});

/** The file as `create` gets it. */
export type OpcuaConfig = v.InferOutput<typeof opcuaConfig>;
/** One device, or one for each match of its pattern. */
export type MappingConfig = v.InferOutput<typeof mapping>;
/** A node that becomes an attribute. */
export type AttributePoint = v.InferOutput<typeof attributePoint>;
/** A node that becomes a time series. */
export type TimeseriesPoint = v.InferOutput<typeof timeseriesPoint>;
/** A method that may be called. */
export type MethodConfig = v.InferOutput<typeof rpcMethod>;
