import { DataError } from "#sdk/errors";
import { type EpochMs, epochMs } from "#sdk/model";
import type { JsonNode, ObjectNode } from "./json.ts";
import type { EntryMetadata } from "./metrics.ts";
import { type DataPoint, type TypedValue, typeValue } from "./values.ts";

/** Longest key that is stored. */
const MAX_KEY_LENGTH = 255;
const HTML_LIKE = /<[a-zA-Z!/][^>]*>|\{\{.*\}\}/s;

/** Telemetry of one device, read and typed. */
export interface Telemetry {
  readonly points: readonly DataPoint[];
  /** Values sent, also those of entries that are lost. Nulls are no values. */
  readonly valueCount: number;
  readonly metadata: readonly EntryMetadata[];
}

/** How entries are read. */
export interface TelemetryContext {
  /** Stamp of entries without one. */
  readonly nowTs: EpochMs;
  /** Whether entries may carry `metadata` (gateway topics). */
  readonly hasMetadata: boolean;
  /** Gives the copy of a key that may be kept. */
  readonly ownKey: (key: string) => string;
}

/** Whether a name or key looks like markup, which the server refuses to store. */
export function isHtmlLike(text: string): boolean {
  return (text.includes("<") || text.includes("{{")) && HTML_LIKE.test(text);
}

/**
 * Reads telemetry entries: `{"ts":…,"values":{…}}`, or an object of values that get `nowTs`. An entry with a key that is
 * blank, longer than 255 characters or markup counts but is lost: the server finds out after it acknowledged.
 * @throws DataError with reason `bad-ts` for a `ts` that is no number, `bad-shape` or `bad-metadata` for the rest.
 */
export function readTelemetry(items: readonly JsonNode[], context: TelemetryContext): Telemetry {
  const points: DataPoint[] = [];
  const metadata: EntryMetadata[] = [];
  let valueCount = 0;
  for (const item of items) {
    if (item.kind !== "object") {
      throw new DataError("A telemetry entry must be an object", { reason: "bad-shape" });
    }
    const extra = context.hasMetadata ? item.members.get("metadata") : undefined;
    if (extra !== undefined) {
      metadata.push(readMetadata(extra));
    }
    const { ts, values } = readEntry(item, context.nowTs);
    const first = points.length;
    let isLost = false;
    for (const [key, node] of values.members) {
      const typed = node === extra ? undefined : typeValue(node);
      if (typed !== undefined) {
        valueCount += 1;
        isLost ||= isRefusedKey(key);
        const { type, value, text } = typed;
        points.push({ key: context.ownKey(key), ts, type, value, text });
      }
    }
    if (isLost) {
      points.length = first;
    }
  }
  return { points, valueCount, metadata };
}

/** Reads attributes of one device. Nulls are skipped; a key the server cannot store costs the whole message. */
export function readAttributes(node: ObjectNode): ReadonlyMap<string, TypedValue> {
  const values = new Map<string, TypedValue>();
  for (const [key, member] of node.members) {
    const typed = typeValue(member);
    if (typed !== undefined) {
      values.set(key, typed);
    }
  }
  return values;
}

/** Whether the database refuses a key. */
export function isRefusedKey(key: string): boolean {
  return key.length > MAX_KEY_LENGTH || key.trim() === "" || isHtmlLike(key);
}

function readEntry(
  item: ObjectNode,
  nowTs: EpochMs,
): { readonly ts: EpochMs; readonly values: ObjectNode } {
  let ts = nowTs;
  let values = item;
  // Values that have both members themselves are taken for an entry once more, as the server does.
  for (;;) {
    const stamp = values.members.get("ts");
    const inner = values.members.get("values");
    if (stamp === undefined || inner === undefined) {
      return { ts, values };
    }
    ts = readTs(stamp);
    if (inner.kind !== "object") {
      throw new DataError("values of a telemetry entry must be an object", { reason: "bad-shape" });
    }
    values = inner;
  }
}

function readTs(node: JsonNode): EpochMs {
  const isInteger = node.kind === "string" && /^[+-]?\d+$/.test(node.content);
  if (node.kind === "number" || isInteger) {
    const value = Number(node.kind === "number" ? node.text : node.content);
    if (Number.isFinite(value)) {
      return epochMs(value);
    }
  }
  throw new DataError(`Cannot take ${node.text} as ts: need a number`, { reason: "bad-ts" });
}

function readMetadata(node: JsonNode): EntryMetadata {
  const members = node.kind === "object" ? node.members : new Map<string, JsonNode>();
  const connector = members.get("connector");
  const receivedTs = members.get("receivedTs");
  const publishedTs = members.get("publishedTs");
  if (connector?.kind === "string" && receivedTs !== undefined && publishedTs !== undefined) {
    return {
      connector: connector.content,
      receivedTs: readTs(receivedTs),
      publishedTs: readTs(publishedTs),
    };
  }
  throw new DataError("metadata needs connector, receivedTs and publishedTs", {
    reason: "bad-metadata",
  });
}
