import type { DataValue } from "node-opcua-client";
import type { ServerSession } from "./client.ts";
import { type Operation, partsOf } from "./limits.ts";

/** Nodes that are asked for together: the limit on reading is not known yet. */
const FEW = 4;

/** Reads how much the server takes with one request, into the limits of the session. The answer: the URIs of its namespaces, by index. */
export async function readServerState(session: ServerSession): Promise<readonly string[]> {
  const { VariableIds, AttributeIds } = session.library;
  const nodes: readonly (readonly [Operation, number])[] = [
    ["read", VariableIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead],
    ["write", VariableIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite],
    ["call", VariableIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall],
    ["browse", VariableIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse],
    ["browse", VariableIds.Server_ServerCapabilities_MaxBrowseContinuationPoints],
    [
      "translate",
      VariableIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    ],
    ["monitor", VariableIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall],
  ];
  const ids = [...nodes.map(([, id]) => id), VariableIds.Server_NamespaceArray];
  const values: DataValue[] = [];
  for (const part of partsOf(ids, FEW)) {
    const toRead = part.map((id) => ({ nodeId: `i=${id}`, attributeId: AttributeIds.Value }));
    values.push(...(await session.read(toRead)));
  }
  for (const [index, [operation]] of nodes.entries()) {
    session.limits.state(operation, values[index]?.value.value);
  }
  const uris: unknown = values[nodes.length]?.value.value;
  return Array.isArray(uris) ? uris.map(String) : [];
}
