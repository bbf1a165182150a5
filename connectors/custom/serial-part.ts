import { DataError, Float, type Json, readJson } from "tbgw/sdk";

/** Which part of a message is a value, and what it is read as. */
export interface Part {
  readonly type?: string | undefined;
  readonly fromByte?: number | undefined;
  readonly toByte?: number | undefined;
  readonly untilDelimiter?: string | undefined;
  readonly fromDelimiter?: string | undefined;
}

/**
 * Reads a value out of a message. Delimiters come first; bytes are counted only when there are none.
 * @throws DataError when the message does not hold it
 */
export function readPart(message: Uint8Array, part: Part): Json {
  return readValue(cut(Buffer.from(message), part), part.type);
}

function cut(message: Buffer, part: Part): Buffer {
  const { fromDelimiter, untilDelimiter, fromByte = 0, toByte = message.length } = part;
  if (fromDelimiter === undefined && untilDelimiter === undefined) {
    return message.subarray(fromByte, toByte);
  }
  const from = fromDelimiter === undefined ? 0 : find(message, fromDelimiter, 0);
  const searchFrom = from + Buffer.byteLength(fromDelimiter ?? "");
  const until =
    untilDelimiter === undefined ? message.length : find(message, untilDelimiter, searchFrom);
  return message.subarray(from, until);
}

function find(message: Buffer, delimiter: string, from: number): number {
  const index = message.indexOf(delimiter, from);
  if (index === -1) {
    throw new DataError(`The message has no ${JSON.stringify(delimiter)}`);
  }
  return index;
}

function readValue(bytes: Buffer, type: string | undefined): Json {
  const text = bytes.toString("utf8").trim();
  switch (type) {
    case "string":
      return text;
    case "json":
      return readJson(text);
    case "int":
      return readInt(text);
    case "float":
    case "double":
      return readFloat(text);
    case "bool":
      return readBool(text);
    default:
      return bytes.toString("hex");
  }
}

function readInt(text: string): Json {
  if (!/^[+-]?\d+$/.test(text)) {
    throw new DataError(`Cannot read ${JSON.stringify(text.slice(0, 40))} as int`);
  }
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text.replace("+", ""));
}

function readFloat(text: string): Float {
  const value = text === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || /^[+-]?0[xob]/i.test(text)) {
    throw new DataError(`Cannot read ${JSON.stringify(text.slice(0, 40))} as float`);
  }
  return new Float(value);
}

/** A whole number other than 0, else the word. */
function readBool(text: string): boolean {
  return /^[+-]?\d+$/.test(text) ? Number(text) !== 0 : text.toLowerCase() === "true";
}
