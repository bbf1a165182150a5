import { DataError } from "#sdk/errors";
import { looksLikeNodeId, type NodeIdText, parseNodeId } from "./node-id.ts";

/** Which node a configuration means. */
export type NodeExpression =
  | { readonly kind: "node-id"; readonly id: NodeIdText }
  /** `absolute`: from the root, else from the device's base node. */
  | { readonly kind: "path"; readonly absolute: boolean; readonly segments: readonly string[] };

/** A name or profile: texts and nodes whose values take their place. */
export type TemplatePart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "node"; readonly text: string; readonly node: NodeExpression };

/** The name of a node, as browsing tells it. */
export interface BrowseName {
  readonly namespace: number;
  readonly name: string;
}

/** Longest segment that is taken for a regular expression, and longest name it is tried on. */
const MAX_PATTERN_LENGTH = 200;
const MAX_NAME_LENGTH = 512;
/** What makes a segment a regular expression, if no node has it as its name. */
const PATTERN_SIGNS = /[*+?[\](){}|^$]|\\[dwsDWS]/;

/**
 * Reads `${Info\.Model}`, `Root\.Objects\.Boiler1`, `Temperature` or `ns=2;i=11`; one enclosing `${…}` makes no difference.
 * @throws DataError when the text is empty or a wrong node id
 */
export function parseNodeExpression(text: string): NodeExpression {
  const inner = withoutBraces(text.trim());
  if (inner === "") {
    throw new DataError("A node is missing: write a path or a node id", { reason: "bad-path" });
  }
  if (looksLikeNodeId(inner)) {
    return { kind: "node-id", id: parseNodeId(inner) };
  }
  return parsePath(inner);
}

function withoutBraces(text: string): string {
  return text.startsWith("${") && text.endsWith("}") && !text.slice(2, -1).includes("}")
    ? text.slice(2, -1).trim()
    : text;
}

/** A dot separates after a backslash; in a path that begins with `Root.` and has no backslash before a dot every dot does. */
function parsePath(text: string): NodeExpression {
  const plainDots = !text.includes("\\.") && /^root\./i.test(text);
  const segments = text.split(plainDots ? "." : "\\.");
  const absolute = segments[0]?.toLowerCase() === "root";
  const rest = (absolute ? segments.slice(1) : segments).filter((segment) => segment !== "");
  if (rest.length === 0 && !absolute) {
    throw new DataError(`"${text}" names no node`, { reason: "bad-path" });
  }
  return { kind: "path", absolute, segments: rest };
}

/** Splits a name or profile into texts and `${…}`. @throws DataError for a wrong node in one of them */
export function parseTemplate(text: string): readonly TemplatePart[] {
  const parts: TemplatePart[] = [];
  let from = 0;
  for (const match of text.matchAll(/\$\{([^}]*)\}/g)) {
    if (match.index > from) {
      parts.push({ kind: "text", text: text.slice(from, match.index) });
    }
    parts.push({ kind: "node", text: match[0], node: parseNodeExpression(match[1] ?? "") });
    from = match.index + match[0].length;
  }
  if (from < text.length) {
    parts.push({ kind: "text", text: text.slice(from) });
  }
  return parts;
}

/** What a segment found among the children of a node. */
export interface SegmentMatch<T> {
  readonly found: readonly T[];
  /** The prefix names another namespace than the nodes that were found: Python took them. */
  readonly otherNamespace: boolean;
}

/**
 * The children a segment means, in their order. The first rule that finds something decides: the whole name; `N:name` in
 * namespace N; `N:name` in any namespace; a regular expression over the whole name. `named` finds by name what a caller has sorted already.
 */
export function matchSegment<T extends BrowseName>(
  segment: string,
  children: readonly T[],
  named: (name: string) => readonly T[] = (name) => children.filter((child) => child.name === name),
): SegmentMatch<T> {
  const literal = named(segment);
  if (literal.length > 0) {
    return { found: literal, otherNamespace: false };
  }
  const { namespace, name } = splitPrefix(segment);
  if (namespace !== undefined) {
    const anywhere = named(name);
    const exact = anywhere.filter((child) => child.namespace === namespace);
    if (anywhere.length > 0) {
      const otherNamespace = exact.length === 0;
      return { found: otherNamespace ? anywhere : exact, otherNamespace };
    }
  }
  const pattern = segmentPattern(name);
  const found =
    pattern === undefined
      ? []
      : children.filter(
          (child) =>
            (namespace === undefined || child.namespace === namespace) &&
            child.name.length <= MAX_NAME_LENGTH &&
            pattern.test(child.name),
        );
  return { found, otherNamespace: false };
}

/** `2:Boiler1` → namespace 2, `Boiler1`. */
export function splitPrefix(segment: string): {
  readonly namespace: number | undefined;
  readonly name: string;
} {
  const [, index, name] = /^(\d{1,5}):(.+)$/s.exec(segment) ?? [];
  return index === undefined || name === undefined
    ? { namespace: undefined, name: segment }
    : { namespace: Number(index), name };
}

/** The segment as a regular expression over a whole name; `undefined` when it is none. */
export function segmentPattern(segment: string): RegExp | undefined {
  if (segment.length > MAX_PATTERN_LENGTH || !PATTERN_SIGNS.test(segment)) {
    return undefined;
  }
  try {
    return new RegExp(`^(?:${segment})$`, "u");
  } catch {
    return lenientPattern(segment);
  }
}

/** Without the `u` flag more is a regular expression: an escape that means nothing, a lone bracket. */
function lenientPattern(segment: string): RegExp | undefined {
  try {
    return new RegExp(`^(?:${segment})$`);
  } catch {
    return undefined; // It is a name with special characters, which no node has.
  }
}
