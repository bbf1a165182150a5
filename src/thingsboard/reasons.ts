/** MQTT 5 reason codes (§2.4) and MQTT 3.1.1 return codes (§3.2.2.3) in words; what a person can do comes first. */
const WORDS: Readonly<Record<number, string>> = {
  1: "the server does not speak this MQTT version",
  2: "the server refuses the client id",
  3: "the server is unavailable",
  4: "bad user name or password: check the credentials",
  5: "not authorised: check the access token or credentials",
  0x80: "unspecified error",
  0x81: "malformed packet or packet too large for the server",
  0x82: "protocol error",
  0x83: "the server cannot process it",
  0x84: "the server does not speak this MQTT version",
  0x85: "the server refuses the client id: check the credentials",
  0x86: "bad user name or password: check the access token or credentials",
  0x87: "not authorised: check the access token, credentials or client certificate",
  0x88: "the server is unavailable",
  0x89: "the server is busy",
  0x8a: "banned by the server",
  0x8b: "the server is shutting down or failed on a packet",
  0x8c: "bad authentication method",
  0x8d: "keep-alive timeout",
  0x8e: "another client connected with the same credentials",
  0x8f: "topic filter refused",
  0x90: "topic name refused",
  0x93: "too many messages in flight",
  0x95: "packet too large",
  0x96: "message rate too high",
  0x97: "quota or rate limit exceeded",
  0x98: "closed by the administrator: credentials changed or device deleted",
  0x99: "payload format invalid",
  0x9c: "the server asks to use another server",
  0x9d: "the server has moved",
  0x9f: "connection rate exceeded",
  0xa0: "maximum connect time or inactivity",
};

/** A reason code as a person reads it: `not authorised: … (0x87)`. */
export function reasonText(code: number): string {
  const hex = `0x${code.toString(16).padStart(2, "0")}`;
  return `${WORDS[code] ?? "refused"} (${hex})`;
}

const CREDENTIALS: ReadonlySet<number> = new Set([2, 4, 5, 0x85, 0x86, 0x87, 0x8a, 0x8c]);

/** Whether a CONNACK code is about who we are, so that trying again soon can only lock the account. */
export function isCredentialsCode(code: number): boolean {
  return CREDENTIALS.has(code);
}

/** Whether a CONNACK code refuses the protocol level (MQTT 5 §3.1.2.2, MQTT 3.1.1 §3.1.2.2). */
export function isVersionCode(code: number): boolean {
  return code === 1 || code === 0x84;
}

/**
 * What the code of a PUBACK asks for: `accepted`; `throttled`: stop for a while, all of it; `retry`: this publish, later;
 * `invalid`: one of its records will never be taken.
 */
export type PubackClass = "accepted" | "throttled" | "retry" | "invalid";

const THROTTLED: ReadonlySet<number> = new Set([0x96, 0x97]);
const INVALID: ReadonlySet<number> = new Set([0x81, 0x83, 0x90, 0x95, 0x99]);

/**
 * Sorts a PUBACK reason code. A code that is about the session or the server as a whole (not authorised, busy, shutting
 * down) is a retry: taking it for a verdict on the records would set all of them aside.
 */
export function classifyPuback(code: number): PubackClass {
  if (code < 0x80) {
    return "accepted";
  }
  if (THROTTLED.has(code)) {
    return "throttled";
  }
  return INVALID.has(code) ? "invalid" : "retry";
}

/** The quarantine reason of a record that the platform refused with this code. */
export function quarantineReason(code: number): string {
  switch (code) {
    case 0x99:
      return "payload-invalid";
    case 0x90:
      return "topic-refused";
    case 0x95:
      return "too-large";
    default:
      return "refused";
  }
}

const BLAMES_PACKET: ReadonlySet<number> = new Set([0x81, 0x82, 0x8b, 0x95, 0x99]);

/**
 * Whether the way a session ended may be the fault of the last packet: it closed without a word, or with a code that
 * ThingsBoard sends for a packet it cannot handle. Rate limits, a busy server and a take-over are about something else.
 */
export function mayBlamePacket(disconnectCode: number | undefined): boolean {
  return disconnectCode === undefined || BLAMES_PACKET.has(disconnectCode);
}
