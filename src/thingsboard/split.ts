import { DataError } from "#sdk/errors";

/** Bytes of a packet that are not payload: topic, packet id, properties, and room for what a proxy may add. */
export const PACKET_OVERHEAD_BYTES = 256;

/** Smallest payload limit that is honoured; a server that says less could not take one value. */
const MIN_PAYLOAD_BYTES = 256;

/** Braces, brackets, colon and comma around the records of one device. */
const DEVICE_OVERHEAD_BYTES = 6;

/**
 * Bytes of payload in one publish, given the largest Remaining Length of the server, its MQTT 5 Maximum Packet Size and
 * the configured upper bound; both may be absent.
 */
export function payloadLimit(limits: {
  readonly remainingLength: number;
  readonly maximumPacketSize: number | undefined;
  readonly configured: number | undefined;
}): number {
  // Maximum Packet Size counts the fixed header too: one byte of type and up to four of length (MQTT 5 §3.2.2.3.6).
  const packet = (limits.maximumPacketSize ?? Number.POSITIVE_INFINITY) - 5;
  const limit = Math.min(limits.remainingLength, packet) - PACKET_OVERHEAD_BYTES;
  return Math.max(
    MIN_PAYLOAD_BYTES,
    Math.min(limit, limits.configured ?? Number.POSITIVE_INFINITY),
  );
}

/** Bytes that a device with `nameBytes` (JSON text in UTF-8) adds to a payload besides its records. */
export function deviceOverhead(nameBytes: number): number {
  return nameBytes + DEVICE_OVERHEAD_BYTES;
}

/** Pieces of one record that was too large, and the keys whose value alone is. */
export interface SplitRecord {
  readonly pieces: readonly string[];
  /** Keys in each piece. */
  readonly counts: readonly number[];
  readonly tooLarge: readonly string[];
}

/** The most a piece may hold. `keys` is at least 1. */
export interface PieceLimit {
  readonly bytes: number;
  readonly keys: number;
}

/**
 * Splits one telemetry entry by key into entries within `limit`; each repeats everything but its share of
 * `values`. Numbers keep their text. @throws DataError when the text is not `{…,"values":{…}}`.
 */
export function splitTelemetry(json: string, limit: PieceLimit): SplitRecord {
  const members = membersOf(json);
  const values = members.find((member) => member.key === '"values"');
  if (values === undefined) {
    throw new DataError("Cannot split a telemetry entry: it has no values");
  }
  const others = members.filter((member) => member !== values);
  const head = others.map((member) => `${member.key}:${member.value},`).join("");
  return pack(membersOf(values.value), limit, {
    before: `{${head}"values":{`,
    after: "}}",
  });
}

/** Splits one attributes object by key into objects within `limit`. @throws DataError when the text is no JSON object. */
export function splitAttributes(json: string, limit: PieceLimit): SplitRecord {
  return pack(membersOf(json), limit, { before: "{", after: "}" });
}

/** A member of a JSON object as text; `key` with its quotes. */
interface Member {
  readonly key: string;
  readonly value: string;
}

function pack(
  members: readonly Member[],
  limit: PieceLimit,
  frame: { readonly before: string; readonly after: string },
): SplitRecord {
  const frameBytes = Buffer.byteLength(frame.before) + Buffer.byteLength(frame.after);
  const pieces: string[] = [];
  const counts: number[] = [];
  const tooLarge: string[] = [];
  let text = "";
  let bytes = frameBytes;
  let keys = 0;
  const close = (): void => {
    pieces.push(`${frame.before}${text}${frame.after}`);
    counts.push(keys);
    text = "";
    bytes = frameBytes;
    keys = 0;
  };
  for (const member of members) {
    const memberText = `${member.key}:${member.value}`;
    const memberBytes = Buffer.byteLength(memberText);
    if (frameBytes + memberBytes > limit.bytes) {
      tooLarge.push(member.key.slice(1, -1));
      continue;
    }
    if (keys > 0 && (bytes + 1 + memberBytes > limit.bytes || keys >= limit.keys)) {
      close();
    }
    keys += 1;
    bytes += memberBytes + (text === "" ? 0 : 1);
    text += text === "" ? memberText : `,${memberText}`;
  }
  if (keys > 0) {
    close();
  }
  return { pieces, counts, tooLarge };
}

const WHITESPACE = " \t\r\n";

/** The members of a JSON object, cut out of its text so that no number is ever read. @throws DataError */
function membersOf(json: string): readonly Member[] {
  try {
    JSON.parse(json);
  } catch (error) {
    throw new DataError("Cannot split a record: it is not JSON", { cause: error });
  }
  const members: Member[] = [];
  let index = skipSpace(json, 0);
  if (json[index] !== "{") {
    throw new DataError("Cannot split a record: it is not a JSON object");
  }
  index = skipSpace(json, index + 1);
  // The text is valid JSON from here on: every loop below ends at its bracket.
  while (index < json.length && json[index] !== "}") {
    const keyEnd = endOfString(json, index);
    const key = json.slice(index, keyEnd);
    const valueStart = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const valueEnd = endOfValue(json, valueStart);
    members.push({ key, value: json.slice(valueStart, valueEnd) });
    index = skipSpace(json, valueEnd);
    if (json[index] === ",") {
      index = skipSpace(json, index + 1);
    }
  }
  return members;
}

function skipSpace(json: string, start: number): number {
  let index = start;
  while (index < json.length && WHITESPACE.includes(json.charAt(index))) {
    index += 1;
  }
  return index;
}

/** Index behind the closing quote of the string that starts at `start`. */
function endOfString(json: string, start: number): number {
  let index = start + 1;
  while (index < json.length && json[index] !== '"') {
    index += json[index] === "\\" ? 2 : 1;
  }
  return index + 1;
}

/** Index behind the value that starts at `start`: the comma or bracket that ends it, or white space before that. */
function endOfValue(json: string, start: number): number {
  let depth = 0;
  let index = start;
  while (index < json.length) {
    const letter = json.charAt(index);
    if (letter === '"') {
      index = endOfString(json, index);
      if (depth === 0) {
        return index;
      }
      continue;
    }
    if (letter === "{" || letter === "[") {
      depth += 1;
    } else if (letter === "}" || letter === "]") {
      if (depth === 0) {
        return index;
      }
      depth -= 1;
    } else if (depth === 0 && (letter === "," || WHITESPACE.includes(letter))) {
      return index;
    }
    index += 1;
  }
  return index;
}
