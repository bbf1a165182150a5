/** Kinds of packets between a host and a Bluetooth controller, as the first byte says them. */
export const HCI_PACKET = { command: 1, acl: 2, sco: 3, event: 4, iso: 5 } as const;

/** Longest packet there can be: an ACL packet with a length of 16 bits. */
const MAX_PACKET_BYTES = 5 + 0xffff;

/** What follows the first byte: length of the header, and how long the rest is. */
const HEADERS: Readonly<
  Record<
    number,
    { readonly sizeBytes: number; readonly length: (header: Uint8Array) => number } | undefined
  >
> = {
  [HCI_PACKET.command]: { sizeBytes: 3, length: (header) => header[2] ?? 0 },
  [HCI_PACKET.acl]: { sizeBytes: 4, length: (header) => word(header, 2) },
  [HCI_PACKET.sco]: { sizeBytes: 3, length: (header) => header[2] ?? 0 },
  [HCI_PACKET.event]: { sizeBytes: 2, length: (header) => header[1] ?? 0 },
  [HCI_PACKET.iso]: { sizeBytes: 4, length: (header) => word(header, 2) & 0x3fff },
};

function word(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
}

/** Cuts a stream of bytes into HCI packets, however they were split or joined on the way (Bluetooth Core, Vol 4 Part A). */
export class H4Reader {
  #rest: Uint8Array = new Uint8Array(0);

  /**
   * Takes what has arrived and returns the packets that are whole now, each with its first byte.
   * @throws RangeError when what comes next is no packet; the stream cannot be used any more
   */
  take(bytes: Uint8Array): readonly Uint8Array[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const packets: Uint8Array[] = [];
    let start = 0;
    while (start < all.length) {
      const size = packetSize(all.subarray(start));
      if (size === undefined || start + size > all.length) {
        break;
      }
      // A copy: the buffer of the stream is used again.
      packets.push(Uint8Array.from(all.subarray(start, start + size)));
      start += size;
    }
    this.#rest = Uint8Array.from(all.subarray(start));
    return packets;
  }
}

/** Length of the packet at the start of `bytes`; `undefined` when too little is there to know. @throws RangeError */
function packetSize(bytes: Uint8Array): number | undefined {
  const kind = bytes[0] ?? 0;
  const header = HEADERS[kind];
  if (header === undefined) {
    throw new RangeError(`0x${kind.toString(16).padStart(2, "0")} is no kind of HCI packet`);
  }
  if (bytes.length < 1 + header.sizeBytes) {
    return undefined;
  }
  const size = 1 + header.sizeBytes + header.length(bytes.subarray(1, 1 + header.sizeBytes));
  return Math.min(size, MAX_PACKET_BYTES);
}
