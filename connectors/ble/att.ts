import { DataError } from "#sdk/errors";
import { normalUuid } from "./addresses.ts";

// Bluetooth Core, Vol 3 Part F: the packets of the Attribute Protocol that a client sends, and what comes back.

/** Opcodes of requests; that of the response is one more. */
export const ATT = {
  findInformation: 0x04,
  readByType: 0x08,
  read: 0x0a,
  readBlob: 0x0c,
  readByGroup: 0x10,
  write: 0x12,
  prepareWrite: 0x16,
  executeWrite: 0x18,
  writeCommand: 0x52,
} as const;

/** Types of attributes (Assigned Numbers §3.5 to §3.7). */
export const TYPE = { primaryService: 0x2800, characteristic: 0x2803, configuration: 0x2902 };

/** The L2CAP channel of the protocol. */
export const ATT_CHANNEL = 4;

const ERROR_RESPONSE = 0x01;
/** Properties of a characteristic, from the lowest bit up (Vol 3 Part G 3.3.1.1). */
const PROPERTIES = [
  "broadcast",
  "read",
  "writeWithoutResponse",
  "write",
  "notify",
  "indicate",
  "authenticatedSignedWrites",
  "extendedProperties",
] as const;

/** A service, as it is found. */
export interface FoundService {
  readonly startHandle: number;
  readonly endHandle: number;
  /** As `normalUuid` makes it. */
  readonly uuid: string;
}

/** The declaration of a characteristic. */
export interface Declaration {
  readonly handle: number;
  readonly valueHandle: number;
  readonly uuid: string;
  readonly properties: readonly string[];
}

/** A descriptor, as it is found. */
export interface FoundDescriptor {
  readonly handle: number;
  readonly uuid: string;
}

/** A packet: its opcode, numbers of 16 bits, and bytes. */
export function packet(
  opcode: number,
  words: readonly number[],
  bytes: Uint8Array = new Uint8Array(0),
): Buffer {
  const buffer = Buffer.alloc(1 + 2 * words.length + bytes.length);
  buffer[0] = opcode;
  for (const [index, word] of words.entries()) {
    buffer.writeUInt16LE(word, 1 + 2 * index);
  }
  buffer.set(bytes, 1 + 2 * words.length);
  return buffer;
}

/** The code of an error response; `undefined`: it is none. */
export function errorCode(response: Uint8Array): number | undefined {
  return response[0] === ERROR_RESPONSE ? (response[4] ?? 0) : undefined;
}

/** The refusal of a request. */
export function errorResponse(request: number, code: number): Buffer {
  return Buffer.of(ERROR_RESPONSE, request, 0, 0, code);
}

/** The services in the answer to `readByGroup`. @throws DataError */
export function readServices(response: Uint8Array): readonly FoundService[] {
  return list(response, [6, 20]).map((entry) => ({
    startHandle: entry.getUint16(0, true),
    endHandle: entry.getUint16(2, true),
    uuid: uuidAt(entry, 4),
  }));
}

/** The declarations in the answer to `readByType`. @throws DataError */
export function readDeclarations(response: Uint8Array): readonly Declaration[] {
  return list(response, [7, 21]).map((entry) => {
    const bits = entry.getUint8(2);
    return {
      handle: entry.getUint16(0, true),
      valueHandle: entry.getUint16(3, true),
      uuid: uuidAt(entry, 5),
      properties: PROPERTIES.filter((_name, bit) => ((bits >> bit) & 1) === 1),
    };
  });
}

/** The first client configuration in the answer to `readByType`. @throws DataError */
export function readConfiguration(response: Uint8Array): {
  readonly handle: number;
  readonly bits: number;
} {
  const [entry] = list(response, [4]);
  return { handle: entry?.getUint16(0, true) ?? 0, bits: entry?.getUint16(2, true) ?? 0 };
}

/** The descriptors in the answer to `findInformation`. @throws DataError */
export function readDescriptors(response: Uint8Array): readonly FoundDescriptor[] {
  const size = response[1] === 1 ? 4 : 18;
  return entriesOf(response, size).map((entry) => ({
    handle: entry.getUint16(0, true),
    uuid: uuidAt(entry, 2),
  }));
}

/** Entries of an answer that begins with their size. */
function list(response: Uint8Array, sizes: readonly number[]): readonly DataView[] {
  const size = response[1] ?? 0;
  if (!sizes.includes(size)) {
    throw new DataError(`Cannot read a list of the peripheral: its entries have ${size} bytes`);
  }
  return entriesOf(response, size);
}

function entriesOf(response: Uint8Array, size: number): readonly DataView[] {
  const count = Math.floor((response.length - 2) / size);
  if (count < 1) {
    throw new DataError("Cannot read a list of the peripheral: it is empty");
  }
  return Array.from(
    { length: count },
    (_, index) => new DataView(response.buffer, response.byteOffset + 2 + index * size, size),
  );
}

/** The UUID from there to the end of an entry. */
function uuidAt(entry: DataView, offset: number): string {
  const bytes = new Uint8Array(entry.buffer, entry.byteOffset, entry.byteLength).subarray(offset);
  const text = Buffer.from(bytes.toReversed()).toString("hex");
  return normalUuid(text) ?? text;
}
