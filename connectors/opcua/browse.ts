import type { BrowseResult, NodeId, ReferenceDescription } from "node-opcua-client";
import { TransientError } from "#sdk/errors";
import type { ServerSession } from "./client.ts";
import { isBad, ServiceFault } from "./failures.ts";
import type { BrowseName } from "./node-expression.ts";

/** A node below another one. */
export interface Child extends BrowseName {
  readonly id: NodeId;
  /** Bit of the node class (OPC UA Part 3 §5.2.3): 1 Object, 2 Variable, 4 Method. */
  readonly nodeClass: number;
}

/** References the server may send with one answer. */
const PAGE_SIZE = 1000;
/** Rounds for nodes that had to wait for a continuation point. */
const MAX_ROUNDS = 10;

/** There is no such node. */
const GONE = new Set(["BadNodeIdUnknown", "BadNodeIdInvalid"]);

/** The children of nodes, by forward hierarchical references, in the order of the server. A node that does not exist has none. */
export async function childrenOf(
  session: ServerSession,
  nodes: readonly NodeId[],
): Promise<readonly (readonly Child[])[]> {
  const results: (readonly Child[])[] = nodes.map(() => []);
  let left = nodes.map((node, index) => ({ node, index }));
  for (let round = 0; left.length > 0; round += 1) {
    const answers = await session.many("browse", left, (part) =>
      browse(
        session,
        part.map(({ node }) => node),
      ),
    );
    const waiting: typeof left = [];
    for (const [position, answer] of answers.entries()) {
      const one = left[position];
      if (one === undefined) {
        continue;
      }
      if (answer.statusCode.name === "BadNoContinuationPoints") {
        waiting.push(one);
      } else {
        results[one.index] = await readPages(session, answer);
      }
    }
    if (waiting.length === left.length && round >= MAX_ROUNDS) {
      throw new TransientError("The server has no continuation points left for browsing");
    }
    if (waiting.length > 0) {
      session.limits.shrink("browse", left.length);
    }
    left = waiting;
  }
  return results;
}

async function browse(session: ServerSession, nodes: readonly NodeId[]): Promise<BrowseResult[]> {
  const { BrowseDirection } = session.library;
  return await session.call("a browse", async (raw) => {
    raw.requestedMaxReferencesPerNode = PAGE_SIZE;
    return await raw.browse(
      nodes.map((nodeId) => ({
        nodeId,
        browseDirection: BrowseDirection.Forward,
        referenceTypeId: "HierarchicalReferences",
        includeSubtypes: true,
        nodeClassMask: 0,
        resultMask: 63,
      })),
    );
  });
}

/** All references of an answer. */
async function readPages(session: ServerSession, first: BrowseResult): Promise<readonly Child[]> {
  const children: Child[] = [];
  const seen = new Set<string>();
  const take = (references: readonly ReferenceDescription[] | null): void => {
    for (const reference of references ?? []) {
      const key = reference.nodeId.toString();
      // A node may be reached by several references.
      if (reference.nodeId.serverIndex === 0 && !seen.has(key)) {
        seen.add(key);
        children.push(toChild(reference));
      }
    }
  };
  if (isBad(first.statusCode)) {
    if (GONE.has(first.statusCode.name)) {
      return [];
    }
    throw new ServiceFault(first.statusCode);
  }
  take(first.references);
  let point = first.continuationPoint;
  while (point !== undefined && point !== null && point.length > 0) {
    const from = point;
    const [next] = await session.call("a browse", (raw) => raw.browseNext([from], false));
    if (next === undefined || next.statusCode.isBad()) {
      throw new ServiceFault(next?.statusCode ?? session.library.StatusCodes.BadUnexpectedError);
    }
    take(next.references);
    point = next.continuationPoint;
  }
  return children;
}

function toChild({ browseName, nodeId, nodeClass }: ReferenceDescription): Child {
  return {
    namespace: browseName.namespaceIndex,
    name: browseName.name ?? "",
    id: nodeId,
    nodeClass,
  };
}
