import { randomUUID } from "node:crypto";
import type { EndpointDescription, NodeId } from "node-opcua-client";
import type { ConnectorHost, Finding, ProbeArgs } from "#sdk/connector";
import { encodeJson } from "#sdk/encode";
import { RejectedError, TransientError } from "#sdk/errors";
import type { Json } from "#sdk/model";
import type { Child } from "./browse.ts";
import { ServerSession } from "./client.ts";
import { convertValue } from "./codec.ts";
import { endpointOf } from "./endpoint.ts";
import { isBad, isTalkFailure } from "./failures.ts";
import { type Library, loadLibrary } from "./library.ts";
import { keyOf } from "./node-finder.ts";
import { makeCertificate } from "./own-certificate.ts";
import { discover, openChannel, secureChannel } from "./security.ts";
import { quietLibrary } from "./stack-log.ts";

/** Arguments of `tbgw probe opcua`. */
export const probeArgs = {
  target: {
    type: "positional",
    description: "Address of the server: opc.tcp://HOST:PORT/PATH, or HOST:PORT",
    valueHint: "URL",
    required: true,
  },
  username: { type: "string", description: "User name", valueHint: "NAME" },
  password: { type: "string", description: "Password of the user", valueHint: "TEXT" },
  security: {
    type: "string",
    description: "Policy, such as Basic256Sha256 (default: none)",
    valueHint: "POLICY",
  },
  mode: { type: "string", description: "Sign or SignAndEncrypt (default)", valueHint: "MODE" },
  endpoints: { type: "boolean", description: "Only say which endpoints there are" },
  node: {
    type: "string",
    description: "Where to begin (default: the Objects folder)",
    valueHint: "NODEID",
  },
  depth: { type: "string", description: "How deep to look (default 4)", valueHint: "N" },
  timeout: {
    type: "string",
    description: "Longest wait for an answer in ms (default 4000)",
    valueHint: "MS",
  },
} as const satisfies ProbeArgs;

type Options = Readonly<Record<string, string | boolean>>;

/** Nodes that are listed. */
const MAX_NODES = 500;
/** Longest part of a value in a line. */
const SAMPLE_LENGTH = 80;
/** Node classes (OPC UA Part 3 §5.2.3). */
const CLASSES: Readonly<Record<number, string>> = { 1: "object", 2: "variable", 4: "method" };
/** The server's description of itself, which nobody maps. */
const OWN_FOLDERS = new Set(["Server", "Aliases", "Locations"]);

interface Seen extends Child {
  readonly path: readonly string[];
  readonly parent: string;
  value: Json | undefined;
}

/**
 * Says which endpoints a server has, what is below a node, and proposes a mapping. Changes nothing there.
 * @throws RejectedError for an option that is none, TransientError when it cannot connect
 */
export async function* probeOpcua(
  options: Options,
  tools: Pick<ConnectorHost, "clock" | "log">,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const { url, user } = endpointOf(textOption(options, "target") ?? "");
  const timeoutMs = numberOption(options, "timeout", 4000);
  const depth = numberOption(options, "depth", 4);
  const library = await loadLibrary();
  quietLibrary(library, tools.log);
  const pair = await makeCertificate(`urn:tbgw:probe:${randomUUID()}`, tools.clock, library);
  const open = openChannel(pair, library);
  const context = { library, host: tools, server: { timeoutInMillis: timeoutMs } };
  const endpoints = await discover(url, open, context, signal);
  yield* endpoints.map((endpoint) => endpointFinding(endpoint, library));
  if (options["endpoints"] === true) {
    return;
  }
  const policy = textOption(options, "security");
  const mode = textOption(options, "mode") === "Sign" ? "Sign" : "SignAndEncrypt";
  const security =
    policy === undefined ? open : secureChannel(endpoints, { policy, mode }, { open, library });
  const given = userOf(options) ?? user;
  const settings = {
    url,
    user: given,
    security,
    timeoutMs,
    sessionTimeoutMs: 60_000,
    name: "tbgw probe",
  };
  await using session = await ServerSession.open(settings, { library, ...tools }, signal);
  yield {
    text: `Connected. Namespaces: ${session.namespaces.map((uri, index) => `${index} ${uri}`).join(", ")}`,
  };
  const start = startOf(textOption(options, "node") ?? "i=85", library);
  const seen = await walk(session, start, depth);
  for (const node of seen) {
    yield { text: lineOf(node) };
  }
  const secured = policy === undefined ? {} : { security: policy, securityMode: mode };
  yield* proposalOf(seen, { url, secured, hasUser: given !== undefined });
}

function endpointFinding(
  { securityMode, securityPolicyUri, endpointUrl }: EndpointDescription,
  library: Library,
): Finding {
  const policy = (securityPolicyUri ?? "").split("#").at(-1) ?? "";
  const mode = library.MessageSecurityMode[securityMode] ?? "";
  return { text: `Endpoint ${endpointUrl}: ${policy}, ${mode}`, detail: { policy, mode } };
}

function userOf(
  options: Options,
): { readonly name: string; readonly password: string } | undefined {
  const name = textOption(options, "username");
  return name === undefined ? undefined : { name, password: textOption(options, "password") ?? "" };
}

function startOf(text: string, library: Library): NodeId {
  try {
    return library.resolveNodeId(text);
  } catch (error) {
    throw new RejectedError(`--node ${text} is not a node id: write ns=2;s=Name`, { cause: error });
  }
}

interface Parent {
  readonly id: NodeId;
  readonly key: string;
  readonly path: readonly string[];
}

/** What is below a node, level by level, with the values of the variables. */
async function walk(session: ServerSession, start: NodeId, depth: number): Promise<Seen[]> {
  const seen = new Map<string, Seen>();
  const startKey = keyOf(start);
  const isObjects = startKey === "i=85";
  let level: readonly Parent[] = [{ id: start, key: startKey, path: isObjects ? ["Objects"] : [] }];
  for (let round = 0; round < depth && level.length > 0 && seen.size < MAX_NODES; round += 1) {
    const lists = await Promise.all(level.map(({ id }) => session.children(id)));
    level = level.flatMap((parent, index) => {
      const children = (lists[index] ?? []).filter(
        ({ namespace, name }) => !(isObjects && round === 0 && isOwnFolder(namespace, name)),
      );
      return addChildren(parent, children, seen);
    });
  }
  await readValues(session, [...seen.values()]);
  return [...seen.values()];
}

function isOwnFolder(namespace: number, name: string): boolean {
  return namespace === 0 && OWN_FOLDERS.has(name);
}

/** Notes what has not been seen, and says what may have something below it. */
function addChildren(
  parent: Parent,
  children: readonly Child[],
  seen: Map<string, Seen>,
): readonly Parent[] {
  const added: Parent[] = [];
  for (const child of children) {
    const key = keyOf(child.id);
    if (!seen.has(key) && seen.size < MAX_NODES) {
      const path = [...parent.path, child.name];
      seen.set(key, { ...child, path, parent: parent.key, value: undefined });
      added.push({ id: child.id, key, path });
    }
  }
  return added;
}

async function readValues(session: ServerSession, seen: readonly Seen[]): Promise<void> {
  const { AttributeIds } = session.library;
  const variables = seen.filter(({ nodeClass }) => nodeClass === 2);
  try {
    const values = await session.read(
      variables.map(({ id }) => ({ nodeId: id, attributeId: AttributeIds.Value })),
    );
    for (const [index, node] of variables.entries()) {
      const value = values[index];
      if (value !== undefined && !isBad(value.statusCode)) {
        node.value = convertValue(value.value, { python: false });
      }
    }
  } catch (error) {
    if (!(isTalkFailure(error) || error instanceof TransientError)) {
      throw error;
    }
  }
}

function lineOf({ path, id, nodeClass, value }: Seen): string {
  const kind = CLASSES[nodeClass] ?? "node";
  const shown = value === undefined ? "" : ` = ${encodeJson(value).slice(0, SAMPLE_LENGTH)}`;
  return `${path.join(" / ")} (${kind}, ${keyOf(id)})${shown}`;
}

/** A connector file: a device for each object that has variables of its own. */
function* proposalOf(
  seen: readonly Seen[],
  {
    url,
    secured,
    hasUser,
  }: {
    readonly url: string;
    readonly secured: { readonly [key: string]: Json };
    readonly hasUser: boolean;
  },
): Generator<Finding> {
  const byKey = new Map(seen.map((node) => [keyOf(node.id), node]));
  const mapping: Json[] = [];
  const names = new Set<string>();
  for (const [key, node] of byKey) {
    const own = seen.filter(({ parent }) => parent === key);
    const variables = own.filter(({ nodeClass, value }) => nodeClass === 2 && value !== undefined);
    if (node.nodeClass !== 1 || variables.length === 0) {
      continue;
    }
    const methods = own.filter(({ nodeClass }) => nodeClass === 4);
    const way = node.path.filter((name, index) => index > 0 || name !== "Objects");
    const device = firstFree([node.name, way.join(" "), `${node.name} ${key}`], names);
    const keys = new Set<string>();
    mapping.push({
      deviceNodePattern: key,
      deviceInfo: { deviceNameExpression: device, deviceProfileExpression: "default" },
      timeseries: variables.map(({ id, name, namespace }) => ({
        key: firstFree([name, `${namespace}:${name}`, `${name} ${keyOf(id)}`], keys),
        value: keyOf(id),
      })),
      ...(methods.length === 0
        ? {}
        : { rpc_methods: methods.map(({ name }) => ({ method: name, arguments: [] })) }),
    });
  }
  if (mapping.length === 0) {
    yield {
      text: "No object with readable variables was found. Look deeper (--depth) or elsewhere (--node).",
    };
    return;
  }
  const identity: Json = hasUser
    ? { type: "basic", username: "${env:OPCUA_USER}", password: "${env:OPCUA_PASSWORD}" }
    : { type: "anonymous" };
  yield {
    text: "A connector file for what was found:",
    config: { server: { url, ...secured, identity }, mapping },
  };
}

/** The first of these names that is not taken, which is taken then; the last one is free. */
function firstFree(wanted: readonly string[], taken: Set<string>): string {
  const name = wanted.find((one) => !taken.has(one)) ?? wanted.at(-1) ?? "";
  taken.add(name);
  return name;
}

function textOption(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function numberOption(options: Options, name: string, fallback: number): number {
  const text = textOption(options, name);
  const number = text === undefined ? fallback : Number(text);
  if (!Number.isInteger(number) || number < 1 || number > 1_000_000) {
    throw new RejectedError(`--${name} must be a whole number from 1, but is ${text}`);
  }
  return number;
}
