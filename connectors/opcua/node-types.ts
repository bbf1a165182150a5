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
/** Standard types up to this id are the builtin ones and the abstract ones, without names for their values. */
const LAST_BUILTIN = 28;
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
    const symbols = await this.#symbolsOf(dataType.value.value);
    const builtin = (await this.builtinOf(dataType.value.value)) ?? shownType(value);
    const isArray = isRanked(valueRank?.value.value) || isListed(value);
    const type = { builtin, isArray, symbols };
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

  /** The names of an enumeration, with their numbers; `undefined` when the type is none or has no names (OPC UA Part 3 §5.9.2). */
  async #symbolsOf(dataType: NodeId): Promise<ReadonlyMap<string, number> | undefined> {
    if (dataType.namespace === 0 && Number(dataType.value) <= LAST_BUILTIN) {
      return undefined; // No round trip for what most nodes are.
    }
    const below = await this.#session.children(dataType);
    const names = below.find(({ name }) => name === "EnumStrings" || name === "EnumValues");
    if (names === undefined) {
      return undefined;
    }
    const { AttributeIds } = this.#session.library;
    const answer = goodValue(
      await this.#session.readOne({ nodeId: names.id, attributeId: AttributeIds.Value }),
    );
    const list: unknown = answer?.value;
    return Array.isArray(list) ? symbolsIn(list) : undefined;
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

/** Of EnumStrings the place is the number; EnumValues say it, as a pair of 32 bits. */
function symbolsIn(list: readonly unknown[]): ReadonlyMap<string, number> {
  const symbols = new Map<string, number>();
  for (const [index, one] of list.entries()) {
    const { text, displayName, value }: Symbolic = isObject(one) ? one : {};
    const name = text ?? displayName?.text;
    const low = Array.isArray(value) ? Number(value[1]) | 0 : index;
    if (typeof name === "string") {
      symbols.set(name, low);
    }
  }
  return symbols;
}

/** A LocalizedText or an EnumValueType. */
interface Symbolic {
  readonly text?: unknown;
  readonly displayName?: { readonly text?: unknown };
  readonly value?: unknown;
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
