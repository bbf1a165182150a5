// The parts of noble that are used, as its pinned version is; it has types for its front door alone.
interface NobleAdvertisement {
  readonly localName?: string;
  readonly txPowerLevel?: number;
  readonly manufacturerData?: Buffer;
  readonly serviceData?: readonly { readonly uuid: string; readonly data: Buffer }[];
}
interface NobleCharacteristic {
  readonly uuid: string;
  readonly name: string | null;
  readonly properties: readonly string[];
  readAsync(): Promise<Buffer>;
  writeAsync(data: Buffer, withoutResponse: boolean): Promise<void>;
  subscribeAsync(): Promise<void>;
  discoverDescriptorsAsync(): Promise<readonly NobleDescriptor[]>;
  on(event: "data", listener: (data: Buffer, isNotification?: boolean) => void): unknown;
  removeAllListeners(): unknown;
}
interface NobleDescriptor {
  readonly uuid: string;
  readonly name: string | null;
  readValueAsync(): Promise<Buffer>;
}
interface NobleService {
  readonly uuid: string;
  readonly name: string | null;
  readonly characteristics: readonly NobleCharacteristic[] | null;
}
interface NoblePeripheral {
  readonly id: string;
  readonly address: string;
  readonly state: string;
  readonly rssi: number;
  readonly mtu: number | null;
  readonly connectable: boolean;
  readonly advertisement: NobleAdvertisement;
  readonly services: readonly NobleService[] | null;
  connectAsync(): Promise<void>;
  cancelConnect(): void;
  disconnect(): void;
  discoverAllServicesAndCharacteristicsAsync(): Promise<unknown>;
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
