import { encodeJson } from "#sdk/encode";
import { errorText, RpcError } from "#sdk/errors";
import { Float, isJsonObject, type Json } from "#sdk/model";

/** How long an answer may take when neither the call nor the connector says. */
export const DEFAULT_TIMEOUT_MS = 10_000;
/** No call takes longer, whatever it asks for. */
const MAX_TIMEOUT_MS = 3_600_000;

/** The answer to a call whose handler returned nothing. */
export const DONE: Json = { success: true };

/** The answer to a call that failed. */
export function failure(error: string, code: number): Json {
  return { error, code, success: false };
}

/** The answer to a call whose handler has thrown `error`. */
export function answerTo(error: unknown): Json {
  return failure(errorText(error), error instanceof RpcError ? error.code : 500);
}

/** JSON text of an answer; a value that is no JSON becomes an error. */
export function answerText(answer: Json): string {
  try {
    return encodeJson(answer);
  } catch (error) {
    // No JSON, or an object of a connector that throws when it is looked at.
    return encodeJson(failure(`The answer cannot be sent: ${errorText(error)}`, 500));
  }
}

/**
 * How long a call may take by the setting of its connector, which says it at once unless it has a thread of its own. One that fails to say
 * it has no setting.
 */
export function settingTimeoutMs(
  setting: () => number | undefined | Promise<number | undefined>,
): number | Promise<number> {
  try {
    const said = setting();
    return said instanceof Promise
      ? said.then(bounded).catch(() => DEFAULT_TIMEOUT_MS)
      : bounded(said);
  } catch {
    return DEFAULT_TIMEOUT_MS;
  }
}

function bounded(settingMs: number | undefined): number {
  return typeof settingMs !== "number" || !(settingMs > 0)
    ? DEFAULT_TIMEOUT_MS
    : Math.min(MAX_TIMEOUT_MS, settingMs);
}

/** `params.timeout` in milliseconds; the wire has seconds, as a number or its text. `undefined` when there is no usable one. */
export function wantedTimeoutMs(params: Json | undefined): number | undefined {
  const seconds = isJsonObject(params) ? numberOf(params["timeout"]) : undefined;
  return seconds === undefined || seconds <= 0
    ? undefined
    : Math.min(MAX_TIMEOUT_MS, seconds * 1000);
}

/** A finite number, also one written as text; `undefined` for everything else. */
export function numberOf(value: Json | undefined): number | undefined {
  const isText = typeof value === "string" && value.trim() !== "";
  const plain = value instanceof Float ? value.value : isText ? Number(value) : value;
  const number = typeof plain === "bigint" ? Number(plain) : plain;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}
