import type { NodeId } from "node-opcua-client";
import { DataError } from "#sdk/errors";
import type { Child } from "./browse.ts";
import type { ServerSession } from "./client.ts";
import { formatLibraryNodeId } from "./codec.ts";
import { isBad } from "./failures.ts";
import { type BrowseName, matchSegment, type NodeExpression } from "./node-expression.ts";
import type { NodeIdText } from "./node-id.ts";

/** A node of the server. */
export interface FoundNode {
  readonly id: NodeId;
  /** Its id as text: the same node, the same text. */
  readonly key: string;
  /** `undefined` when it was given by its id. */
  readonly name: BrowseName | undefined;
  /** The names on the way to it. */
  readonly path: string;
}

/** What is odd about a path but does not keep it from being followed. */
export interface FinderNotes {
  otherNamespace(segment: string): void;
  tooMany(limit: number): void;
  /** What is below a node that was looked at, whether it is wanted or not. */
  seen?(path: string, children: readonly Child[]): void;
}

/** What is below a node; those of one name together, because a folder may have thousands that are all looked for. */
class Children {
  readonly all: readonly Child[];
  #byName: ReadonlyMap<string, readonly Child[]> | undefined;

  constructor(all: readonly Child[]) {
    this.all = all;
  }

  named(name: string): readonly Child[] {
    this.#byName ??= Map.groupBy(this.all, (child) => child.name);
    return this.#byName.get(name) ?? [];
  }
}

/** Nodes a pattern may fan out to. */
const MAX_FAN_OUT = 10_000;
/** Object and root of the address space (OPC UA Part 6 annex A). */
const ROOT = 84;
const OBJECTS = 85;

/** Finds nodes by their paths. What a node has below it is asked once for each finder: one finder serves one scan or one command. */
export class NodeFinder {
  readonly #session: ServerSession;
  readonly #notes: FinderNotes;
  readonly #children = new Map<string, Promise<Children>>();

  constructor(session: ServerSession, notes: FinderNotes) {
    this.#session = session;
    this.#notes = notes;
  }

  /** The base nodes of devices; a path without a root is looked for below the root, then below Objects. */
  async bases(expression: NodeExpression): Promise<readonly FoundNode[]> {
    if (expression.kind === "node-id") {
      return await this.#existing(expression.id);
    }
    const found = await this.#follow(this.#numeric(ROOT), expression.segments);
    return found.length > 0 || expression.absolute
      ? found
      : await this.#follow(this.#numeric(OBJECTS), expression.segments);
  }

  /** What an expression means for a device: in the order of the server, nothing when there is no such node. */
  async find(expression: NodeExpression, base: NodeId): Promise<readonly FoundNode[]> {
    if (expression.kind === "node-id") {
      const id = this.toNodeId(expression.id);
      return id === undefined ? [] : [foundById(id)];
    }
    return await this.#follow(
      expression.absolute ? this.#numeric(ROOT) : base,
      expression.segments,
    );
  }

  /** The id in the terms of the stack; `undefined` when the server does not have its namespace. */
  toNodeId({ namespace, identifier }: NodeIdText): NodeId | undefined {
    const index =
      typeof namespace === "number" ? namespace : this.#session.namespaces.indexOf(namespace.uri);
    if (index < 0) {
      return undefined;
    }
    const { NodeId: Id, NodeIdType } = this.#session.library;
    switch (identifier.type) {
      case "numeric":
        return new Id(NodeIdType.NUMERIC, identifier.value, index);
      case "guid":
        return new Id(NodeIdType.GUID, identifier.value.toUpperCase(), index);
      case "opaque":
        return new Id(NodeIdType.BYTESTRING, Buffer.from(identifier.value), index);
      default:
        return new Id(NodeIdType.STRING, identifier.value, index);
    }
  }

  /** What a node has below it. */
  async childrenOf(node: NodeId): Promise<readonly Child[]> {
    return (await this.#below(foundById(node))).all;
  }

  #below({ id, key, path }: FoundNode): Promise<Children> {
    let children = this.#children.get(key);
    if (children === undefined) {
      children = this.#session.children(id).then((all) => {
        this.#notes.seen?.(path, all);
        return new Children(all);
      });
      this.#children.set(key, children);
    }
    return children;
  }

  #numeric(value: number): NodeId {
    const { NodeId: Id, NodeIdType } = this.#session.library;
    return new Id(NodeIdType.NUMERIC, value, 0);
  }

  /** A node that was given by its id, if the server has it. */
  async #existing(text: NodeIdText): Promise<readonly FoundNode[]> {
    const id = this.toNodeId(text);
    if (id === undefined) {
      return [];
    }
    const { AttributeIds } = this.#session.library;
    const name = await this.#session.readOne({ nodeId: id, attributeId: AttributeIds.BrowseName });
    return isBad(name.statusCode) ? [] : [foundById(id)];
  }

  async #follow(start: NodeId, segments: readonly string[]): Promise<readonly FoundNode[]> {
    let nodes: readonly FoundNode[] = [foundById(start)];
    for (const segment of segments) {
      const lists = await Promise.all(nodes.map((node) => this.#below(node)));
      const next = new Map<string, FoundNode>();
      for (const [index, children] of lists.entries()) {
        const parent = nodes[index]?.path ?? "";
        const { found, otherNamespace } = matchSegment(segment, children.all, (name) =>
          children.named(name),
        );
        if (otherNamespace) {
          this.#notes.otherNamespace(segment);
        }
        for (const { id, namespace, name } of found) {
          const key = keyOf(id);
          if (!next.has(key) && next.size < MAX_FAN_OUT) {
            next.set(key, { id, key, name: { namespace, name }, path: `${parent} / ${name}` });
          } else if (next.size >= MAX_FAN_OUT) {
            this.#notes.tooMany(MAX_FAN_OUT);
          }
        }
      }
      nodes = [...next.values()];
      if (nodes.length === 0) {
        break;
      }
    }
    return nodes;
  }
}

function foundById(id: NodeId): FoundNode {
  const key = keyOf(id);
  return { id, key, name: undefined, path: key === `i=${ROOT}` ? "Root" : key };
}

/** The id of a node as text. @throws DataError on an id of no known kind */
export function keyOf(id: NodeId): string {
  const key = formatLibraryNodeId(id);
  if (key === undefined) {
    throw new DataError("The server uses a node id of an unknown kind");
  }
  return key;
}
