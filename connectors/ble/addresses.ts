const BASE = /^0000([0-9a-f]{4})00001000800000805f9b34fb$/;

/**
 * The one form of a UUID in which two can be compared: lower case without dashes, and four digits for those of the Bluetooth SIG.
 * noble prints these without leading zeros. `undefined`: it is no UUID.
 */
export function normalUuid(text: string): string | undefined {
  const plain = text.trim().toLowerCase().replaceAll("-", "").replace(/^0x/, "");
  const short = BASE.exec(plain)?.[1] ?? plain;
  if (/^[0-9a-f]{1,4}$/.test(short)) {
    return short.padStart(4, "0");
  }
  return /^[0-9a-f]{32}$/.test(short) ? short : undefined;
}

/** A UUID of `normalUuid` in the form people know: `00002a19-0000-1000-8000-00805f9b34fb`. */
export function fullUuid(uuid: string): string {
  const long = uuid.length === 4 ? `0000${uuid}00001000800000805f9b34fb` : uuid;
  return long.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The one form of an address in which two can be compared: lower case without separators. */
export function normalAddress(text: string): string {
  return text.toLowerCase().replaceAll(/[:-]/g, "");
}

/** Whether a text is the address of a peripheral: `A4:C1:38:0B:5E:77`, or an identifier with dashes. */
export function isAddress(text: string): boolean {
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text) || /^[0-9a-f]+(-[0-9a-f]+)+$/i.test(text);
}
