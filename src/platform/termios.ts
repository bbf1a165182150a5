/** What a serial line is set to. */
export interface LineSettings {
  readonly baudRate: number;
  readonly dataBits: number;
  readonly parity: "N" | "E" | "O" | "M" | "S";
  /** 1, 1.5 or 2. */
  readonly stopBits: number;
  /** The line's RTS and CTS say who may send. */
  readonly hardwareFlow?: boolean;
  /** XON and XOFF in the data say who may send; for text only. */
  readonly softwareFlow?: boolean;
}

/** Requests of `ioctl` for terminals; the same numbers on x64 and arm64 (asm-generic/ioctls.h). */
export const REQUESTS = {
  TCGETS: 0x5401,
  TCSETS: 0x5402,
  TCFLSH: 0x540b,
  TIOCEXCL: 0x540c,
  TIOCSRS485: 0x542f,
  TCGETS2: 0x802c542a,
  TCSETS2: 0x402c542b,
} as const;

/** Size of the kernel's `struct termios2`, of which `struct termios` is the beginning. */
export const TERMIOS_SIZE = 44;

/** Standard speeds and their codes in `c_cflag` (asm-generic/termbits.h). */
const SPEEDS: ReadonlyMap<number, number> = new Map([
  ...[50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19_200, 38_400].map(
    (speed, index): [number, number] => [speed, index + 1],
  ),
  ...[
    57_600, 115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000,
    2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000,
  ].map((speed, index): [number, number] => [speed, 0x1001 + index]),
]);

const CBAUD = 0x100f;
const BOTHER = 0x1000;
const CSIZE = 0x30;
const CSTOPB = 0x40;
const CREAD = 0x80;
const PARENB = 0x100;
const PARODD = 0x200;
const CLOCAL = 0x800;
const CMSPAR = 0x4000_0000;
const CRTSCTS = 0x8000_0000;
const INPCK = 0x10;
const IXON = 0x400;
const IXOFF = 0x1000;
/** Places in the structure: the four flag words, then the control characters, then the two speeds. */
const C_CFLAG = 8;
const CC = 17;
const VTIME = CC + 5;
const VMIN = CC + 6;
const VSTART = CC + 8;
const VSTOP = CC + 9;
/** DC1 and DC3. */
const XON = 0x11;
const XOFF = 0x13;
const C_ISPEED = 36;
const C_OSPEED = 40;

/** Whether a speed has a code of its own, which every driver knows. */
export function isStandardSpeed(baudRate: number): boolean {
  return SPEEDS.has(baudRate);
}

/** The structure for a raw line: no echo, no translation, reads as they come. 1.5 stop bits are set like 2 (they are 1.5 with 5 data bits). */
export function termios(settings: LineSettings): Uint8Array {
  const bytes = new Uint8Array(TERMIOS_SIZE);
  const view = new DataView(bytes.buffer);
  const speed = SPEEDS.get(settings.baudRate) ?? BOTHER;
  const flow = settings.softwareFlow === true ? IXON | IXOFF : 0;
  view.setUint32(0, (settings.parity === "N" ? 0 : INPCK) | flow, true);
  view.setUint32(C_CFLAG, (speed | CREAD | CLOCAL | formatBits(settings)) >>> 0, true);
  bytes[VMIN] = 1;
  bytes[VTIME] = 0;
  bytes[VSTART] = XON;
  bytes[VSTOP] = XOFF;
  view.setUint32(C_ISPEED, settings.baudRate, true);
  view.setUint32(C_OSPEED, settings.baudRate, true);
  return bytes;
}

function formatBits({ dataBits, parity, stopBits, hardwareFlow }: LineSettings): number {
  const size = (Math.max(5, Math.min(8, dataBits)) - 5) << 4;
  const stop = stopBits > 1 ? CSTOPB : 0;
  const parities = {
    N: 0,
    E: PARENB,
    O: PARENB | PARODD,
    M: PARENB | PARODD | CMSPAR,
    S: PARENB | CMSPAR,
  };
  return size | stop | parities[parity] | (hardwareFlow === true ? CRTSCTS : 0);
}

/** What the driver took of `wanted`, read back from it: the speed must be right, the rest may be a property of the device. */
export function differences(
  wanted: Uint8Array,
  found: Uint8Array,
): { readonly speed: boolean; readonly format: readonly string[] } {
  const flag = (bytes: Uint8Array): number =>
    new DataView(bytes.buffer, bytes.byteOffset).getUint32(C_CFLAG, true);
  const changed = flag(wanted) ^ flag(found);
  const names: readonly [number, string][] = [
    [CSIZE, "data bits"],
    [PARENB | PARODD | CMSPAR, "parity"],
    [CSTOPB, "stop bits"],
  ];
  const format = names.filter(([mask]) => (changed & mask) !== 0).map(([, name]) => name);
  return { speed: (changed & CBAUD) !== 0, format };
}

/** The structure that lets the driver switch an RS-485 transceiver: RTS high while sending (linux/serial.h). */
export function rs485(): Uint8Array {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, 0b11, true);
  return bytes;
}
