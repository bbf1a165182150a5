import { readFile } from "node:fs/promises";
import { nodesets } from "node-opcua-nodesets";

/** The nodes that every OPC UA server has, as NodeSet2 XML. `scripts/opcua-server.ts` puts the part that the demo needs in the place of this file. */
export async function standardNodeset(): Promise<string> {
  return await readFile(nodesets.standard, "utf8");
}
