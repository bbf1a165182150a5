import type { IConnackPacket, IDisconnectPacket } from "mqtt";
import { REFUSED_RETRY_MS } from "#sdk/backoff";
import { RejectedError, TransientError } from "#sdk/errors";

/** Return codes of CONNACK before MQTT 5 (MQTT 3.1.1 §3.2.2.3). */
const RETURN_CODES: Readonly<Record<number, string>> = {
  1: "protocol version not accepted",
  2: "client identifier rejected",
  3: "broker not available",
  4: "bad user name or password",
  5: "not authorized",
};

/** Reason codes of MQTT 5 (§2.4) that a broker may send in CONNACK, SUBACK or DISCONNECT. */
const REASON_CODES: Readonly<Record<number, string>> = {
  0x80: "unspecified error",
  0x81: "malformed packet",
  0x82: "protocol error",
  0x83: "implementation specific error",
  0x84: "protocol version not supported",
  0x85: "client identifier not valid",
  0x86: "bad user name or password",
  0x87: "not authorized",
  0x88: "broker not available",
  0x89: "broker busy",
  0x8a: "banned",
  0x8b: "broker shutting down",
  0x8c: "bad authentication method",
  0x8d: "keep-alive timeout",
  0x8e: "another client took over the session: is the client identifier used twice?",
  0x8f: "topic filter not valid",
  0x90: "topic name not valid",
  0x91: "packet identifier in use",
  0x93: "receive maximum exceeded",
  0x95: "packet too large",
  0x96: "message rate too high",
  0x97: "quota exceeded",
  0x98: "closed by an administrator",
  0x99: "payload format not valid",
  0x9a: "retain not supported",
  0x9b: "QoS not supported",
  0x9c: "use another broker",
  0x9d: "broker moved",
  0x9e: "shared subscriptions not supported",
  0x9f: "connection rate exceeded",
  0xa0: "maximum connect time",
  0xa1: "subscription identifiers not supported",
  0xa2: "wildcard subscriptions not supported",
};

/** Refusals that only a person can end: trying often may lock the account. */
const HARD_RETURN_CODES: ReadonlySet<number> = new Set([1, 2, 4, 5]);
const HARD_REASON_CODES: ReadonlySet<number> = new Set([
  0x84, 0x85, 0x86, 0x87, 0x8a, 0x8c, 0x9c, 0x9d,
]);

/** A reason code in words: `not authorized (0x87)`. */
export function reasonText(code: number): string {
  const known = code < 0x80 ? RETURN_CODES[code] : REASON_CODES[code];
  return `${known ?? "unknown reason"} (${code < 0x80 ? code : `0x${code.toString(16)}`})`;
}

/**
 * The error of mqtt.js as ours. A number as `code` is the broker's answer in CONNACK; what only a person can put right is
 * tried again after a minute.
 */
export function connectFailure(
  error: Error,
  connack: IConnackPacket | undefined,
  version: number,
): TransientError {
  const code = answerOf(error, connack);
  if (code === 0) {
    return new TransientError("The connection to the broker failed", { cause: error });
  }
  const detail = connack?.properties?.reasonString;
  const said = detail === undefined ? "" : `: ${detail}`;
  const advice =
    code === 1 || code === 0x84 ? `; set "version" to another value than ${version}` : "";
  return refusal(`The broker refuses the connection: ${reasonText(code)}${said}${advice}`, code);
}

/** The code the broker gave, 0 when it gave none. */
function answerOf(error: Error, connack: IConnackPacket | undefined): number {
  const code: unknown = "code" in error ? error.code : undefined;
  return typeof code === "number" ? code : (connack?.reasonCode ?? connack?.returnCode ?? 0);
}

/** The broker's DISCONNECT (MQTT 5 §3.14) as the cause of the end of a connection. */
export function disconnectFailure(packet: IDisconnectPacket): TransientError {
  const code = packet.reasonCode ?? 0;
  if (code === 0) {
    return new TransientError("The broker ended the connection");
  }
  return refusal(`The broker ended the connection: ${reasonText(code)}`, code);
}

/** Reasons for which the broker refuses a message now and may take it later (MQTT 5 §3.4.2.1). */
const SOFT_PUBLISH_CODES: ReadonlySet<number> = new Set([0x83, 0x89, 0x91, 0x93, 0x96, 0x97]);

/** Why a message was not taken: a code is the broker's answer in PUBACK or PUBREC. */
export function publishFailure(error: Error, topic: string): RejectedError | TransientError {
  const code: unknown = "code" in error ? error.code : undefined;
  if (typeof code !== "number" || code < 0x80) {
    return new TransientError("The message could not be sent", { cause: error });
  }
  const text = `The broker refuses a message for ${topic}: ${reasonText(code)}`;
  return SOFT_PUBLISH_CODES.has(code) ? new TransientError(text) : new RejectedError(text);
}

function refusal(message: string, code: number): TransientError {
  const isHard = HARD_RETURN_CODES.has(code) || HARD_REASON_CODES.has(code);
  return new TransientError(message, isHard ? { retryAfterMs: REFUSED_RETRY_MS } : {});
}
