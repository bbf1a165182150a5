import { HCI_PACKET } from "#platform/h4";
import { ATT_CHANNEL } from "./att.ts";

/** An error response of a peripheral (Core, Vol 3 Part F 3.4.1.1). */
export interface AttError {
  /** Handle of the link. */
  readonly link: number;
  /** Opcode of the request it answers. */
  readonly request: number;
  readonly code: number;
  /** noble encrypts the link and asks again. */
  readonly needsEncryption: boolean;
}

const ERROR_RESPONSE = 1;
const ERROR_RESPONSE_BYTES = 5;

/** Error code: the request cannot be read. */
export const INVALID_REQUEST = 0x04;
/** Error code: none of the others. */
export const UNLIKELY_ERROR = 0x0e;

const REASONS: Readonly<Record<number, string>> = {
  0x01: "invalid handle",
  0x02: "reading is not permitted",
  0x03: "writing is not permitted",
  [INVALID_REQUEST]: "invalid request",
  0x05: "it needs pairing",
  0x06: "it does not support the request",
  0x07: "invalid offset",
  0x08: "it needs authorization",
  0x0a: "there is no such attribute",
  0x0c: "its encryption key is too short",
  0x0d: "the value has the wrong length",
  [UNLIKELY_ERROR]: "something went wrong in it",
  0x0f: "it needs encryption",
  0x11: "it has no resources",
};
const ENCRYPTS: readonly number[] = [0x05, 0x08, 0x0f];

/** The error response in an HCI packet, if it is one. */
export function attError(packet: Uint8Array): AttError | undefined {
  const word = (offset: number): number => (packet[offset] ?? 0) | ((packet[offset + 1] ?? 0) << 8);
  const isError =
    packet[0] === HCI_PACKET.acl &&
    packet.length === 9 + ERROR_RESPONSE_BYTES &&
    word(7) === ATT_CHANNEL &&
    packet[9] === ERROR_RESPONSE;
  if (!isError) {
    return undefined;
  }
  const code = packet[13] ?? 0;
  return {
    link: word(1) & 0xfff,
    request: packet[10] ?? 0,
    code,
    needsEncryption: ENCRYPTS.includes(code),
  };
}

/** An error code in words. */
export function attReason(code: number): string {
  const hex = `0x${code.toString(16).padStart(2, "0")}`;
  const reason = REASONS[code];
  return reason === undefined ? `error ${hex}` : `${reason} (${hex})`;
}
