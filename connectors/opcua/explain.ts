import { indexInFile } from "#sdk/config-places";
import type { Explanation } from "#sdk/connector";
import type { DeviceData } from "#sdk/model";
import type { OpcuaConfig } from "./config.ts";
import { endpointOf } from "./endpoint.ts";
import { compileMappings, type Mapping, type Point } from "./mappings.ts";
import type { NodeExpression } from "./node-expression.ts";
import type { NodeIdText } from "./node-id.ts";
import { type ServerConfig, usesSubscriptions } from "./server-config.ts";

/** For each device pattern, point, shared attribute and method: which node it means, how it is asked for, and what goes up. */
export function explainOpcua(config: OpcuaConfig): readonly Explanation[] {
  const { server } = config;
  const session: Explanation = { path: "server", request: sessionText(server), sends: null };
  const mappings = compileMappings(config.mapping).flatMap((mapping) =>
    explainMapping(mapping, server),
  );
  return [session, ...mappings];
}

function explainMapping(mapping: Mapping, server: ServerConfig): readonly Explanation[] {
  const { path, pattern, nameText, config } = mapping;
  const base: Explanation = {
    path: `${path}.deviceNodePattern`,
    request: `${nodeText(pattern, "Root, then Objects")}: each node found is a device named ${nameText}`,
    sends: null,
  };
  const points = mapping.points.map((point) => ({
    path: point.path,
    request: pointText(point, server),
    sends: exampleOf(point, mapping),
  }));
  const updates = mapping.updates.map(({ key, node, timeoutMs }, index) => ({
    path: `${path}.attributes_updates[${indexInFile(config.attributes_updates, index)}]`,
    request: `shared attribute ${key}: write to ${nodeText(node, "the device")}, within ${timeoutMs} ms`,
    sends: null,
  }));
  const methods = config.rpc_methods.map(({ method, arguments: given, timeout }, index) => ({
    path: `${path}.rpc_methods[${indexInFile(config.rpc_methods, index)}]`,
    request: `RPC ${method}: call the method ${method} of the device with ${given.length} argument${given.length === 1 ? "" : "s"}, within ${timeout} ms`,
    sends: null,
  }));
  return [base, ...points, ...updates, ...methods];
}

function sessionText(server: ServerConfig): string {
  const { name } = endpointOf(server.url);
  return `a session with ${name}; all nodes are looked for when it is open and every ${server.scanPeriodInMillis} ms`;
}

function pointText({ source, stamp, section }: Point, server: ServerConfig): string {
  if ("constant" in source) {
    return "no request: the text is sent with each scan";
  }
  const node = nodeText(source.node, "the device");
  const how = usesSubscriptions(server) ? watchText(server) : readText(server);
  return section === "attributes"
    ? `${how} ${node}`
    : `${how} ${node}, with the time of the ${stamp}`;
}

function watchText(server: ServerConfig): string {
  const { subCheckPeriodInMillis, subSamplingIntervalInMillis, subQueueSize } = server;
  const intervalMs = Math.max(100, subCheckPeriodInMillis);
  const samplingMs = subSamplingIntervalInMillis ?? intervalMs;
  return `monitored item (sampled every ${samplingMs} ms, queue of ${subQueueSize}, published every ${intervalMs} ms) on`;
}

function readText({ pollPeriodInMillis }: ServerConfig): string {
  return `read every ${Math.max(10, pollPeriodInMillis)} ms:`;
}

/** The node an expression means, in words. */
function nodeText(node: NodeExpression, start: string): string {
  if (node.kind === "node-id") {
    return `the node ${idText(node.id)}`;
  }
  const path = node.segments.join(" / ");
  return node.absolute ? `the path ${path} from Root` : `the path ${path} from ${start}`;
}

function idText({ namespace, identifier }: NodeIdText): string {
  const prefix = typeof namespace === "number" ? `ns=${namespace}` : `nsu=${namespace.uri}`;
  const { type, value } = identifier;
  const letters = { numeric: "i", string: "s", guid: "g", opaque: "b" };
  const text = value instanceof Uint8Array ? Buffer.from(value).toString("base64") : String(value);
  return `${prefix};${letters[type]}=${text}`;
}

/** What goes up when the node has a value, which stands here as a text. */
function exampleOf(point: Point, { nameText, config }: Mapping): DeviceData {
  const { source, section } = point;
  const name = "constant" in source ? source.constant : "<name of the node>";
  const key = point.key ?? name;
  const values = { [key]: "constant" in source ? source.constant : "<value of the node>" };
  const device = {
    deviceName: nameText,
    deviceType: config.deviceInfo.deviceProfileExpression,
  };
  return section === "attributes"
    ? { ...device, attributes: values }
    : { ...device, telemetry: [{ values }] };
}
