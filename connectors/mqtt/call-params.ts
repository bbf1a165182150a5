import * as v from "valibot";
import { textOf } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { isJsonObject, type Json } from "#sdk/model";
import { qosLevel, wholeNumber } from "./broker-config.ts";

/** Where a call goes, what it carries, and where its response is awaited: an entry of `serverSideRpc`, or parameters. */
export interface CallConfig {
  readonly requestTopicExpression: string;
  /** Without one an extension makes the payload. */
  readonly valueExpression?: string | undefined;
  readonly responseTopicExpression?: string | undefined;
  readonly responseTimeout?: number | undefined;
  readonly responseTopicQoS: 0 | 1 | 2;
  readonly retain: boolean;
  readonly qos: 0 | 1 | 2;
}

/** How long a response is awaited when the parameters name its topic and no time. */
const RESPONSE_TIMEOUT_MS = 5000;

const flag = v.pipe(
  v.union([v.boolean(), v.picklist(["true", "false", "1", "0"])]),
  v.transform((value) => value === true || value === "true" || value === "1"),
);

const callParams = v.looseObject({
  requestTopicExpression: v.pipe(v.string(), v.nonEmpty("must not be empty")),
  valueExpression: v.optional(v.string(), ""),
  responseTopicExpression: v.optional(v.string()),
  responseTimeout: v.optional(wholeNumber(0, Number.MAX_SAFE_INTEGER), RESPONSE_TIMEOUT_MS),
  responseTopicQoS: v.optional(qosLevel, 1),
  retain: v.optional(flag, false),
  qos: v.optional(qosLevel, 0),
});

/**
 * Reads the parameters of a call that carries topics and payload itself: an object, or a text `key=value;key=value;`. `value` is
 * a short name of `valueExpression`. `undefined`: they name no topic. @throws DataError saying which one is wrong
 */
export function readCallParams(params: Json): CallConfig | undefined {
  const raw = typeof params === "string" ? splitPairs(params) : params;
  if (!isJsonObject(raw) || raw["requestTopicExpression"] === undefined) {
    return undefined;
  }
  const expression = raw["valueExpression"] ?? raw["value"];
  const result = v.safeParse(callParams, {
    ...raw,
    valueExpression: expression === undefined ? undefined : textOf(expression),
  });
  if (result.success) {
    return result.output;
  }
  const [issue] = result.issues;
  throw new DataError(`parameter ${v.getDotPath(issue) ?? ""}: ${issue.message}`);
}

/** A pair ends at a semicolon, its key at the first equals sign. */
function splitPairs(text: string): { readonly [key: string]: string } {
  const pairs = text.split(";").filter((pair) => pair.includes("="));
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    }),
  );
}
