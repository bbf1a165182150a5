import { DataError } from "#sdk/errors";

/** A node id as its text says it (OPC UA Part 6 §5.3.1.10). The namespace is an index, or a URI to look up in the server's table. */
export interface NodeIdText {
  readonly namespace: number | { readonly uri: string };
  readonly identifier:
    | { readonly type: "numeric"; readonly value: number }
    | { readonly type: "string"; readonly value: string }
    /** Lower-case, hyphenated. */
    | { readonly type: "guid"; readonly value: string }
    | { readonly type: "opaque"; readonly value: Uint8Array };
}

const FORM = /^(?:svr=\d+;)?(?:ns=(\d+);|nsu=([^;]+);)?([isgb])=(.+)$/s;
const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const MAX_UINT16 = 0xffff;
const MAX_UINT32 = 0xffff_ffff;

/** Whether a text is meant as a node id. It may still be a wrong one. */
export function looksLikeNodeId(text: string): boolean {
  return /^(?:svr=\d+;)?(?:ns=\d+;|nsu=[^;]+;)?[isgb]=/.test(text);
}

/** Reads `ns=2;s=Boiler1`, `i=85`, `nsu=urn:plant;g=…` or `ns=3;b=U3BlZWQ=`. @throws DataError reason `bad-node-id` */
export function parseNodeId(text: string): NodeIdText {
  const [, index, uri, type, identifier = ""] = FORM.exec(text) ?? [];
  if (type === undefined) {
    throw bad(text, "write ns=2;s=Name, ns=2;i=11, ns=2;g=… or ns=2;b=…");
  }
  const namespace = uri === undefined ? Number(index ?? 0) : { uri };
  if (typeof namespace === "number" && namespace > MAX_UINT16) {
    throw bad(text, `a namespace index is at most ${MAX_UINT16}`);
  }
  return { namespace, identifier: parseIdentifier(type, identifier, text) };
}

function parseIdentifier(type: string, value: string, text: string): NodeIdText["identifier"] {
  switch (type) {
    case "i": {
      if (!/^\d+$/.test(value) || Number(value) > MAX_UINT32) {
        throw bad(text, `i= takes a whole number up to ${MAX_UINT32}`);
      }
      return { type: "numeric", value: Number(value) };
    }
    case "g": {
      if (!GUID.test(value)) {
        throw bad(text, "g= takes 32 hexadecimal digits with hyphens");
      }
      return { type: "guid", value: value.toLowerCase() };
    }
    case "b":
      return { type: "opaque", value: parseBytes(value) };
    default:
      return { type: "string", value };
  }
}

/** Base64, `0x…`, or else the characters themselves. */
function parseBytes(value: string): Uint8Array {
  if (/^0x(?:[0-9a-f]{2})+$/i.test(value)) {
    return Uint8Array.fromHex(value.slice(2));
  }
  return BASE64.test(value) ? Uint8Array.fromBase64(value) : new TextEncoder().encode(value);
}

function bad(text: string, need: string): DataError {
  return new DataError(`"${text}" is not a node id: ${need}`, { reason: "bad-node-id" });
}

/** The text of a node id: without `ns=` in namespace 0, a GUID in lower case. */
export function formatNodeId({ namespace, identifier }: NodeIdText): string {
  const prefix =
    typeof namespace === "number"
      ? namespace === 0
        ? ""
        : `ns=${namespace};`
      : `nsu=${namespace.uri};`;
  switch (identifier.type) {
    case "numeric":
      return `${prefix}i=${identifier.value}`;
    case "guid":
      return `${prefix}g=${identifier.value}`;
    case "opaque":
      return `${prefix}b=${identifier.value.toBase64()}`;
    default:
      return `${prefix}s=${identifier.value}`;
  }
}
