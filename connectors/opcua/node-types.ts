import type { DataValue, NodeId, Variant } from "node-opcua-client";
import { DataError } from "#sdk/errors";
import type { ServerSession } from "./client.ts";
import { BUILTIN } from "./codec.ts";
import type { Coerced, ValueType } from "./coercion.ts";
import { isBad, ServiceFault } from "./failures.ts";
import { keyOf } from "./node-finder.ts";

/** Types that say nothing about the value (OPC UA Part 5 §12.2): BaseDataType, Number, Integer, UInteger. */
const ABSTRACT = new Set([24, 26, 27, 28]);
const ENUMERATION = 29;
/** Types of nodes that are kept in mind. */
const MAX_KNOWN = 10_000;

/** What the nodes of one session take. */
export class NodeTypes {
  readonly #session: ServerSession;
  readonly #known = new Map<string, ValueType>();

  constructor(session: ServerSession) {
    this.#session = session;
  }

  /** The type of a node's value. @throws ServiceFault when it has none */
  async typeOf(node: NodeId): Promise<ValueType> {
    const key = keyOf(node);
    const known = this.#known.get(key);
    if (known !== undefined) {
      return known;
    }
    const { AttributeIds } = this.#session.library;
    const [dataType, valueRank, current] = await Promise.all(
      [AttributeIds.DataType, AttributeIds.ValueRank, AttributeIds.Value].map((attributeId) =>
        this.#session.readOne({ nodeId: node, attributeId }),
      ),
    );
    const { StatusCodes } = this.#session.library;
    const status = dataType?.statusCode ?? StatusCodes.BadUnexpectedError;
    if (dataType === undefined || isBad(status)) {
      throw new ServiceFault(status);
    }
    const value = goodValue(current);
    const builtin = (await this.builtinOf(dataType.value.value)) ?? shownType(value);
    const type = { builtin, isArray: isRanked(valueRank?.value.value) || isListed(value) };
    // Without a current value the next one may say more.
    if (builtin !== undefined && this.#known.size < MAX_KNOWN) {
      this.#known.set(key, type);
    }
    return type;
  }

  /** The node may have changed. */
  forget(node: NodeId): void {
    this.#known.delete(keyOf(node));
  }

  /** The builtin type below a data type; `undefined` when it is abstract. */
  async builtinOf(dataType: NodeId): Promise<number | undefined> {
    const { namespace, value } = dataType;
    if (namespace === 0 && typeof value === "number") {
      if (value >= 1 && value <= 23) {
        return value;
      }
      if (ABSTRACT.has(value)) {
        return undefined;
      }
      if (value === ENUMERATION) {
        return BUILTIN.Int32;
      }
    }
    const { findBasicDataType } = this.#session.library;
    const found = await this.#session.call("a look at a data type", (session) =>
      findBasicDataType(session, dataType),
    );
    return ABSTRACT.has(found) ? undefined : found;
  }

  /** The value in the terms of the stack. @throws DataError for a wrong node id */
  variantOf({ builtin, isArray, value }: Coerced): Variant {
    const { Variant: Make, VariantArrayType } = this.#session.library;
    const list: readonly unknown[] = isArray && Array.isArray(value) ? value : [value];
    const made = list.map((one) => this.#object(builtin, one));
    return new Make({
      dataType: this.#session.library.DataType[builtin] ?? "Null",
      arrayType: isArray ? VariantArrayType.Array : VariantArrayType.Scalar,
      value: isArray ? made : made[0],
    });
  }

  #object(builtin: number, value: unknown): unknown {
    const { coerceLocalizedText, coerceQualifiedName, resolveNodeId, coerceExpandedNodeId } =
      this.#session.library;
    switch (builtin) {
      case BUILTIN.LocalizedText:
        return coerceLocalizedText(isObject(value) ? value : null);
      case BUILTIN.QualifiedName:
        return coerceQualifiedName(isObject(value) ? value : {});
      case BUILTIN.NodeId:
      case BUILTIN.ExpandedNodeId:
        try {
          return builtin === BUILTIN.NodeId
            ? resolveNodeId(String(value))
            : coerceExpandedNodeId(String(value));
        } catch (error) {
          throw new DataError(`${String(value)} is not a node id`, { cause: error });
        }
      default:
        return value;
    }
  }
}

function goodValue(answer: DataValue | undefined): Variant | undefined {
  return answer === undefined || isBad(answer.statusCode) ? undefined : answer.value;
}

/** ValueRank 1 and above are arrays of so many dimensions (OPC UA Part 3 §5.6.2). */
function isRanked(rank: unknown): boolean {
  return typeof rank === "number" && rank >= 1;
}

function isListed(value: Variant | undefined): boolean {
  const kind: number = value?.arrayType ?? 0;
  return kind !== 0;
}

/** The type of the current value, where the node takes any. */
function shownType(value: Variant | undefined): number | undefined {
  const type: number = value?.dataType ?? 0;
  return type === 0 ? undefined : type;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
