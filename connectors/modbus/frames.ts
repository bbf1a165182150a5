/** One message of the application layer with the unit it is to or from, in any framing. */
export interface Frame {
  readonly unit: number;
  /** Function code and what follows. */
  readonly pdu: Uint8Array;
}

/** How messages stand on the wire. */
export type Framing = "socket" | "rtu" | "ascii";

/** Longest message of the application layer (Modbus application protocol §4.1). */
export const MAX_PDU_SIZE = 253;

const CRC_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    crc = (crc & 1) === 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
});

/** CRC of the serial line (Modbus over serial line §6.2.2); its low byte goes out first. */
export function crc16(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc = (crc >> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  }
  return crc;
}

/** LRC of the ASCII framing (§6.2.1). */
export function lrc(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) {
    sum += byte;
  }
  return -sum & 0xff;
}

/** A message with the header of Modbus TCP. */
export function encodeMbap({ unit, pdu }: Frame, transaction: number): Uint8Array {
  const bytes = new Uint8Array(7 + pdu.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, transaction);
  view.setUint16(4, pdu.length + 1);
  view.setUint8(6, unit);
  bytes.set(pdu, 7);
  return bytes;
}

/** A message as it goes over a serial line in RTU framing. */
export function encodeRtu({ unit, pdu }: Frame): Uint8Array {
  const bytes = new Uint8Array(pdu.length + 3);
  bytes[0] = unit;
  bytes.set(pdu, 1);
  const crc = crc16(bytes.subarray(0, pdu.length + 1));
  bytes[pdu.length + 1] = crc & 0xff;
  bytes[pdu.length + 2] = crc >> 8;
  return bytes;
}

const ascii = new TextEncoder();

/** A message in ASCII framing, from the colon to the line break. */
export function encodeAscii({ unit, pdu }: Frame): Uint8Array {
  const bytes = Uint8Array.from([unit, ...pdu]);
  const check = lrc(bytes).toString(16).padStart(2, "0");
  return ascii.encode(`:${(bytes.toHex() + check).toUpperCase()}\r\n`);
}

/** A message in any framing; `transaction` counts for `socket` alone. */
export function encodeFrame(framing: Framing, frame: Frame, transaction: number): Uint8Array {
  switch (framing) {
    case "socket":
      return encodeMbap(frame, transaction);
    case "rtu":
      return encodeRtu(frame);
    case "ascii":
      return encodeAscii(frame);
  }
}

/** What the start of a Modbus TCP stream holds: a message, too little for one, or something else. */
export type MbapResult =
  | {
      readonly state: "frame";
      readonly frame: Frame;
      readonly transaction: number;
      readonly size: number;
    }
  | { readonly state: "short" }
  | { readonly state: "bad" };

/** Reads one message from the start of `bytes`. The protocol identifier must be 0 and the length that of a message. */
export function decodeMbap(bytes: Uint8Array): MbapResult {
  if (bytes.length < 7) {
    return { state: "short" };
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint16(4);
  if (view.getUint16(2) !== 0 || length < 2 || length > MAX_PDU_SIZE + 1) {
    return { state: "bad" };
  }
  const size = 6 + length;
  if (bytes.length < size) {
    return { state: "short" };
  }
  const frame = { unit: view.getUint8(6), pdu: bytes.slice(7, size) };
  return { state: "frame", frame, transaction: view.getUint16(0), size };
}

/** Reads a whole RTU frame; `undefined` when the CRC does not match. */
export function decodeRtu(bytes: Uint8Array): Frame | undefined {
  const end = bytes.length - 2;
  if (end < 2) {
    return undefined;
  }
  const crc = (bytes[end] ?? 0) | ((bytes[end + 1] ?? 0) << 8);
  return crc16(bytes.subarray(0, end)) === crc
    ? { unit: bytes[0] ?? 0, pdu: bytes.slice(1, end) }
    : undefined;
}

/** Reads one line of ASCII framing, without its line break; `undefined` when it is none or the LRC does not match. */
export function decodeAscii(line: string): Frame | undefined {
  const hex = /^:((?:[0-9a-f]{2}){3,})$/i.exec(line)?.[1];
  if (hex === undefined) {
    return undefined;
  }
  const bytes = Uint8Array.fromHex(hex);
  return lrc(bytes) === 0 ? { unit: bytes[0] ?? 0, pdu: bytes.slice(1, -1) } : undefined;
}

/** Size of the answer to a request, function code included; `undefined` when only the answer tells. */
export function answerSize(pdu: Uint8Array): number | undefined {
  const count = ((pdu[3] ?? 0) << 8) | (pdu[4] ?? 0);
  switch (pdu[0]) {
    case 1:
    case 2:
      return 2 + Math.ceil(count / 8);
    case 3:
    case 4:
      return 2 + 2 * count;
    case 5:
    case 6:
    case 15:
    case 16:
      return 5;
    default:
      return undefined;
  }
}

/**
 * Whether `pdu` answers `request`: the function code and either the byte count or the echo of the address and quantity that the
 * standard asks for, or an exception of two bytes.
 */
export function isAnswer(request: Uint8Array, pdu: Uint8Array): boolean {
  const [code = 0] = request;
  if (pdu[0] === (code | 0x80)) {
    return pdu.length === 2;
  }
  if (pdu[0] !== code) {
    return false;
  }
  const size = answerSize(request);
  if (size === undefined) {
    return true;
  }
  if (pdu.length !== size) {
    return false;
  }
  if (code <= 4) {
    return pdu[1] === size - 2;
  }
  // 5 and 6 repeat the address; 15 and 16 the number of places too.
  const echoed = code <= 6 ? 3 : 5;
  return request.subarray(1, echoed).every((byte, index) => byte === pdu[1 + index]);
}
