import type { Argument, NodeId } from "node-opcua-client";
import { DataError } from "#sdk/errors";
import { Float, type Json } from "#sdk/model";
import type { ServerSession } from "./client.ts";
import { convertValue, type ValueFormat } from "./codec.ts";
import { coerceValue } from "./coercion.ts";
import { ArgumentError } from "./downlink.ts";
import { isBad, ServiceFault } from "./failures.ts";
import type { NodeFinder } from "./node-finder.ts";
import type { NodeTypes } from "./node-types.ts";

/** Node class of a method (OPC UA Part 3 §5.2.3). */
const METHOD = 4;

/** A method to call. */
export interface MethodCall {
  readonly object: NodeId;
  readonly method: string;
  readonly args: readonly unknown[];
  readonly timeoutMs: number;
}

/** What a call needs. */
export interface MethodTools {
  readonly session: ServerSession;
  readonly types: NodeTypes;
  readonly finder: NodeFinder;
  readonly format: ValueFormat;
}

/** Calls a method of an object and converts what it returns: nothing, one value, or a list. @throws ServiceFault, DataError, NoAnswer */
export async function callMethod(
  { object, method, args, timeoutMs }: MethodCall,
  tools: MethodTools,
  signal: AbortSignal,
): Promise<Json> {
  const { session, types, format } = tools;
  const methodId = await methodOf(object, method, tools);
  const definition = await session.call(
    "the arguments of a method",
    (raw) => raw.getArgumentDefinition(methodId),
    { signal },
  );
  const inputArguments = await inputsOf(definition.inputArguments, args, types);
  signal.throwIfAborted();
  const answer = await session.callMethod(
    { objectId: object, methodId, inputArguments },
    signal,
    timeoutMs,
  );
  if (isBad(answer.statusCode)) {
    throw new ServiceFault(answer.statusCode);
  }
  const outputs = (answer.outputArguments ?? []).map((one) => convertValue(one, format) ?? null);
  return outputs.length > 1 ? outputs : (outputs[0] ?? null);
}

async function inputsOf(
  definitions: readonly Argument[],
  args: readonly unknown[],
  types: NodeTypes,
) {
  if (definitions.length !== args.length) {
    throw new ArgumentError(`Expected ${definitions.length} arguments, but got ${args.length}`);
  }
  return await Promise.all(
    definitions.map(async ({ dataType, valueRank }, index) => {
      const builtin = await types.builtinOf(dataType);
      return types.variantOf(
        coerceValue(toJson(args[index]), { builtin, isArray: valueRank >= 1 }),
      );
    }),
  );
}

/** The method of an object by its name: of the object's own namespace first, then of any, then of its type. */
async function methodOf(
  object: NodeId,
  method: string,
  { session, finder }: MethodTools,
): Promise<NodeId> {
  const own = await methodBelow(object, method, finder);
  if (own !== undefined) {
    return own;
  }
  const { BrowseDirection, StatusCodes } = session.library;
  const type = await session.call("a browse", (raw) =>
    raw.browse({
      nodeId: object,
      browseDirection: BrowseDirection.Forward,
      referenceTypeId: "HasTypeDefinition",
      includeSubtypes: true,
      nodeClassMask: 0,
      resultMask: 63,
    }),
  );
  const typeId = type.references?.[0]?.nodeId;
  const inherited = typeId === undefined ? undefined : await methodBelow(typeId, method, finder);
  if (inherited === undefined) {
    throw new ServiceFault(StatusCodes.BadNoMatch);
  }
  return inherited;
}

async function methodBelow(
  node: NodeId,
  method: string,
  finder: NodeFinder,
): Promise<NodeId | undefined> {
  const children = await finder.childrenOf(node);
  const named = children.filter(({ name, nodeClass }) => nodeClass === METHOD && name === method);
  return (named.find(({ namespace }) => namespace === node.namespace) ?? named[0])?.id;
}

/** A value of the configuration as one of a call. @throws DataError */
function toJson(value: unknown): Json {
  switch (typeof value) {
    case "boolean":
    case "number":
    case "bigint":
    case "string":
      return value;
    default:
      if (value === null || value === undefined) {
        return null;
      }
      if (value instanceof Float) {
        return value;
      }
      if (Array.isArray(value)) {
        return value.map(toJson);
      }
      if (isObject(value)) {
        return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, toJson(one)]));
      }
      throw new DataError("an argument is no JSON");
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
