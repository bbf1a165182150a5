import type { NodeId } from "node-opcua-client";
import { encodeJson } from "#sdk/encode";
import { Float, type Json } from "#sdk/model";
import type { ServerSession } from "./client.ts";
import { convertValue, pythonFloat } from "./codec.ts";
import { isBad } from "./failures.ts";
import type { TemplatePart } from "./node-expression.ts";
import type { NodeFinder } from "./node-finder.ts";

/** Puts the values of nodes into a name or profile. `missing` is the part that has no value. */
export async function renderTemplate(
  parts: readonly TemplatePart[],
  base: NodeId,
  { session, finder }: { readonly session: ServerSession; readonly finder: NodeFinder },
): Promise<{ readonly text: string } | { readonly missing: string }> {
  const texts = await Promise.all(
    parts.map(async (part) => {
      if (part.kind === "text") {
        return part.text;
      }
      const [node] = await finder.find(part.node, base);
      return node === undefined ? undefined : await valueText(node.id, session);
    }),
  );
  const missing = parts.find((_, index) => (texts[index] ?? "") === "");
  return missing === undefined ? { text: texts.join("") } : { missing: missing.text };
}

async function valueText(nodeId: NodeId, session: ServerSession): Promise<string | undefined> {
  const { AttributeIds } = session.library;
  const value = await session.readOne({ nodeId, attributeId: AttributeIds.Value });
  if (isBad(value.statusCode)) {
    return undefined;
  }
  return nameText(convertValue(value.value, { python: false }));
}

/** A value as the Python gateway writes it into a name, so that a device keeps its name: `True`, `5.0`. */
export function nameText(value: Json | undefined): string | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  if (typeof value === "boolean") {
    return value ? "True" : "False";
  }
  if (value instanceof Float) {
    return pythonFloat(value.value);
  }
  return typeof value === "object" ? encodeJson(value) : String(value);
}
