// The parts of noble that are used, as its pinned version is; it has types for its front door alone.
interface NobleAdvertisement {
  readonly localName?: string;
  readonly txPowerLevel?: number;
  readonly manufacturerData?: Buffer;
  readonly serviceData?: readonly { readonly uuid: string; readonly data: Buffer }[];
}
/** The packets of one link. */
interface NobleStream {
  on(event: "data", listener: (channel: number, packet: Buffer) => void): unknown;
  /** Whether the link is encrypted from now on. */
  on(event: "encrypt", listener: (isEncrypted: boolean) => void): unknown;
  on(event: "encryptFail", listener: () => void): unknown;
}
/** The GATT layer of one link: its requests wait in one queue. */
interface NobleGatt {
  /** Longest packet, in bytes; grows once, after the start. */
  readonly _mtu: number;
  readonly _aclStream: NobleStream;
  /** What is waited for. */
  readonly _currentCommand: { readonly buffer: Buffer } | null;
  /** Takes a packet of the peripheral. */
  onAclStreamData(channel: number, packet: Buffer): void;
  /** `answered` gets the response or error response. Without it nothing is waited for, and `sent` is called. */
  _queueCommand(
    request: Buffer,
    answered: ((response: Buffer) => void) | null,
    sent?: () => void,
  ): void;
  on(
    event: "handleNotify",
    listener: (address: string, handle: number, value: Buffer) => void,
  ): unknown;
}
interface NoblePeripheral {
  readonly id: string;
  readonly address: string;
  readonly state: string;
  readonly rssi: number;
  readonly mtu: number | null;
  readonly connectable: boolean;
  readonly advertisement: NobleAdvertisement;
  connectAsync(): Promise<void>;
  cancelConnect(): void;
  disconnect(): void;
  once(event: "disconnect", listener: () => void): unknown;
  removeAllListeners(): unknown;
}
/** What noble takes for an HCI socket. */
interface NobleSocket {
  on(event: "data" | "error", listener: (packet: Buffer) => void): unknown;
  bindRaw(deviceId: number): void;
  start(): void;
  isDevUp(): boolean;
  write(packet: Buffer): void;
  setFilter(filter: Buffer): void;
  removeAllListeners(): unknown;
}
interface NobleBindings {
  /** Identifiers of peripherals by the handle of their link. */
  readonly _handles: Readonly<Record<number, string | undefined>>;
  /** By the identifier of the peripheral, while it is connected. */
  readonly _gatts: Readonly<Record<string, NobleGatt | undefined>>;
  readonly _hci: {
    _socket: NobleSocket;
    _aclConnections: Map<number, unknown>;
    _aclQueue: readonly { readonly handle: number }[];
    pollIsDevUp(): void;
    flushAcl(): Promise<void>;
    emit(event: string, ...args: readonly unknown[]): boolean;
    writeAclDataPkt(handle: number, channel: number, data: Buffer): Promise<void>;
  };
}
interface NobleCentral {
  on(event: "stateChange", listener: (state: string) => void): unknown;
  on(event: "discover", listener: (peripheral: NoblePeripheral) => void): unknown;
  on(event: "warning", listener: (message: string) => void): unknown;
  startScanningAsync(services: readonly string[], allowDuplicates: boolean): Promise<unknown>;
  stopScanningAsync(): Promise<unknown>;
  removeAllListeners(): unknown;
}
declare module "@abandonware/noble/with-bindings.js" {
  export default function withBindings(bindings: NobleBindings): NobleCentral;
}
declare module "@abandonware/noble/lib/hci-socket/bindings.js" {
  const Bindings: new (options: { readonly deviceId?: number }) => NobleBindings;
  export default Bindings;
}
declare module "@abandonware/noble/lib/hci-socket/gatt.js" {
  const Gatt: new (address: string, stream: NobleStream) => NobleGatt;
  export default Gatt;
}
