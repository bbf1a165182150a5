import { createHash } from "node:crypto";

/** The namespace of domain names (RFC 9562 §6.6). */
const DNS_NAMESPACE = Buffer.from("6ba7b8109dad11d180b400c04fd430c8", "hex");

/**
 * The id of a connector whose file has none: the name-based UUID (RFC 9562 §5.5) of `tbgw:<type>:<name>`, the same at
 * every start. `type` is in lower case.
 */
export function connectorId(type: string, name: string): string {
  const hash = createHash("sha1").update(DNS_NAMESPACE).update(`tbgw:${type}:${name}`).digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6); // Version 5.
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8); // Variant of the RFC.
  const hex = hash.toString("hex", 0, 16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}
