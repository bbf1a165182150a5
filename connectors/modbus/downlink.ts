import { DataError } from "#sdk/errors";
import { isJsonObject, type Json } from "#sdk/model";
import { bytesToCoils } from "./bits.ts";
import type { ModbusRequest } from "./client.ts";
import type { ReadCode, ReadSettings } from "./decoder.ts";
import { createDecoder } from "./decoder.ts";
import { encodeWrite, type WriteCode, type WriteOrders, type WriteSettings } from "./encoder.ts";
import { readProblem, writeProblem } from "./problems.ts";

/** A read that a command asks for. */
export interface ReadCommand extends ReadSettings {
  readonly address: number;
}

/** A write that a command asks for. */
export interface WriteCommand extends WriteSettings {
  readonly address: number;
}

/** What an element of `rpc` or `attributeUpdates`, or the text of a reserved method, asks for. */
export interface CommandItem {
  readonly tag: string;
  readonly type?: string | undefined;
  readonly functionCode: number;
  readonly address: number;
  readonly objectsCount: number;
  readonly divider?: number | undefined;
  readonly multiplier?: number | undefined;
  readonly round?: number | undefined;
  readonly bit?: number | undefined;
  readonly registerBit?: number | undefined;
  readonly bitTargetType?: string | undefined;
  readonly bitOrder?: "python" | "natural" | undefined;
  readonly variants?: Readonly<Record<string, Json>> | undefined;
  readonly trimNulls?: boolean | undefined;
}

/** The function code as one that reads, or `undefined`. */
export function readCodeOf(code: number): ReadCode | undefined {
  return code === 1 || code === 2 || code === 3 || code === 4 ? code : undefined;
}

/** The function code as one that writes, or `undefined`. */
export function writeCodeOf(code: number): WriteCode | undefined {
  return code === 5 || code === 6 || code === 15 || code === 16 ? code : undefined;
}

/** One request that reads, and how its answer becomes a value. @throws DataError for an item that cannot be read */
export function readCommand(
  item: CommandItem,
  unit: number,
  orders: WriteOrders,
): {
  readonly request: Extract<ModbusRequest, { functionCode: ReadCode }>;
  readonly decode: (bytes: Uint8Array) => Json;
} {
  const functionCode = readCodeOf(item.functionCode);
  const problem = readProblem(item);
  if (functionCode === undefined || problem !== undefined) {
    throw new DataError(problem ?? "Unsupported function code in RPC request.");
  }
  const type = item.type ?? item.tag;
  const decoder = createDecoder({ ...item, functionCode, type }, orders);
  const most = functionCode <= 2 ? 2000 : 125;
  if (decoder.length > most) {
    throw new DataError(`one request reads at most ${most}, but these are ${decoder.length}`);
  }
  return {
    request: { functionCode, unit, address: item.address, count: decoder.length },
    decode: (bytes) =>
      decoder.decode(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0) ?? null,
  };
}

/** A write: one request, or the change of a bit of a register, which takes a read before it. */
export type WritePlan =
  | { readonly kind: "request"; readonly request: ModbusRequest }
  | {
      readonly kind: "bit";
      readonly unit: number;
      readonly address: number;
      readonly bit: number;
      readonly on: boolean;
    };

/** What has to be sent to write a value. @throws DataError for a value that does not fit */
export function writeCommand(
  value: Json,
  item: CommandItem,
  unit: number,
  orders: WriteOrders,
): WritePlan {
  const functionCode = writeCodeOf(item.functionCode);
  const problem = writeProblem(item);
  if (functionCode === undefined || problem !== undefined) {
    throw new DataError(problem ?? "Unsupported function code in RPC request.");
  }
  const { address } = item;
  const data = encodeWrite(value, { ...item, functionCode, type: item.type ?? item.tag }, orders);
  return data.functionCode === "bit"
    ? { kind: "bit", unit, address, bit: data.bit, on: data.on }
    : { kind: "request", request: { ...data, unit, address } };
}

/** What an extension has encoded, as a request: register bytes with the high byte first. @throws DataError when it does not fit */
export function convertedWrite(
  converted: Uint8Array | string,
  item: CommandItem,
  unit: number,
): WritePlan {
  const bytes = typeof converted === "string" ? new TextEncoder().encode(converted) : converted;
  const { address, functionCode } = item;
  if (functionCode === 5) {
    return { kind: "request", request: { functionCode, unit, address, on: bytes.some(Boolean) } };
  }
  if (functionCode === 15) {
    const coils = bytesToCoils(bytes, item.objectsCount);
    return { kind: "request", request: { functionCode, unit, address, coils } };
  }
  const registers = Array.from(
    { length: Math.ceil(bytes.length / 2) },
    (_, index) => ((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0),
  );
  if (registers.length === 0 || registers.length > 123) {
    throw new DataError(`Cannot write ${registers.length} registers: need 1 to 123`);
  }
  const [register] = registers;
  if (functionCode === 6 && registers.length === 1 && register !== undefined) {
    return { kind: "request", request: { functionCode, unit, address, register } };
  }
  return { kind: "request", request: { functionCode: 16, unit, address, registers } };
}

/** A method that every device has: `get` and `set` with everything in their text. */
export interface ReservedMethod {
  readonly kind: "get" | "set";
  readonly item: CommandItem;
  /** Text to write. */
  readonly value: string;
}

const TYPE = "(?<type>[^;]+)";
const REST = `functionCode=(?<code>\\d+);objectsCount=(?<count>\\d+);address=(?<address>\\d+);`;
const GET = new RegExp(`^type=${TYPE};${REST}`);
const SET = new RegExp(`^type=${TYPE};${REST}value=(?<value>.*);$`, "s");
const READABLE =
  "type=<type>;functionCode=<functionCode>;objectsCount=<objectsCount>;address=<address>;";

/** The reserved method of a name, whatever its case; `undefined` for any other. */
export function reservedKind(method: string): "get" | "set" | undefined {
  const lower = method.toLowerCase();
  return lower === "get" || lower === "set" ? lower : undefined;
}

/** Reads the text of a reserved method. @throws DataError with what is expected */
export function parseReserved(kind: "get" | "set", params: Json): ReservedMethod {
  const groups = groupsOf(kind === "get" ? GET : SET, params);
  const code = Number(groups["code"]);
  const functionCode = kind === "get" ? readCodeOf(code) : writeCodeOf(code);
  if (functionCode === undefined) {
    const schema = `${kind} ${READABLE}${kind === "set" ? "value=<value>;" : ""}`;
    throw new DataError(
      `The requested RPC either does not match with the schema ${schema} or incorrect value/values provided`,
    );
  }
  const { type = "", count = "", address = "", value = "" } = groups;
  const item = {
    tag: kind,
    type,
    functionCode,
    objectsCount: Math.max(1, Number(count)),
    address: Number(address),
  };
  return { kind, item, value };
}

/** What the named groups hold; nothing when the text does not match. */
function groupsOf(pattern: RegExp, params: Json): Readonly<Record<string, string>> {
  return typeof params === "string" ? (pattern.exec(params.trim())?.groups ?? {}) : {};
}

/** A command to the connector: `{"type":"16int","functionCode":3,"objectsCount":1,"address":2}`. @throws DataError */
export function parseConnectorCommand(params: Json): {
  readonly item: CommandItem;
  readonly value: Json;
} {
  if (!isJsonObject(params)) {
    throw new DataError("the parameters must be an object with type, functionCode and address");
  }
  const number = (key: string, fallback?: number): number => {
    const value = params[key] ?? fallback;
    const read = typeof value === "string" ? Number(value) : value;
    if (typeof read !== "number" || !Number.isInteger(read) || read < 0) {
      throw new DataError(`"${key}" must be a whole number`);
    }
    return read;
  };
  const { type, value = null } = params;
  if (typeof type !== "string") {
    throw new DataError('"type" must be a type such as 16int');
  }
  const item = {
    tag: type,
    type,
    functionCode: number("functionCode"),
    objectsCount: Math.max(1, number("objectsCount", 1)),
    address: number("address"),
  };
  return { item, value };
}
