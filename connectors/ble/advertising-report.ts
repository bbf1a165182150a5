import { HCI_PACKET } from "#platform/h4";

const LE_META = 0x3e;
const ADVERTISING_REPORT = 2;
/** Type, address type, address and length in front of the data; the signal strength after it. */
const HEAD_BYTES = 9;

/**
 * The senders of an advertising report (Core, Vol 4 Part E 7.7.65.2) as twelve hexadecimal digits each; `undefined` for any other
 * packet. Nobody, when the packet ends within a report.
 */
export function reportAddresses(packet: Uint8Array): readonly string[] | undefined {
  if (packet[0] !== HCI_PACKET.event || packet[1] !== LE_META || packet[3] !== ADVERTISING_REPORT) {
    return undefined;
  }
  const addresses: string[] = [];
  let at = 5;
  for (let left = packet[4] ?? 0; left > 0; left -= 1) {
    const address = packet.subarray(at + 2, at + 8).toReversed();
    addresses.push(Buffer.from(address).toString("hex"));
    at += HEAD_BYTES + (packet[at + 8] ?? 0) + 1;
    if (at > packet.length) {
      return [];
    }
  }
  return addresses;
}
