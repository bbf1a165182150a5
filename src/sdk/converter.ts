import type { DataError } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { DeviceData, EpochMs, Json } from "./model.ts";
import type { Output, StandardSchema, Tag } from "./standard-schema.ts";

/** What a converter may use besides its input. */
export interface ConverterContext {
  readonly log: Logger;
  readonly connector: { readonly id: string; readonly name: string; readonly type: string };
}
/** Pure and synchronous. `null` or `[]`: nothing to report. A bad point goes to `onBadPoint` and must not cost the others. */
export type ConvertUplink<Raw> = (
  raw: Raw,
  onBadPoint: (error: DataError) => void,
) => DeviceData | readonly DeviceData[] | null;
/** What `host.converters.uplink` hands out: never throws, leaves out what is invalid, counts and logs it (B8). */
export type UplinkConverter<Raw> = (raw: Raw) => readonly DeviceData[];

/** What the built-in connectors hand to their converters (B8). */
export interface UplinkInputs {
  mqtt: MqttMessage;
  modbus: ModbusRead;
  opcua: OpcUaRead;
  ble: BleRead;
  serial: DeviceMessage;
}
/** One message of an MQTT broker. */
export interface MqttMessage<Payload = Uint8Array> {
  readonly payload: Payload;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly receivedTs: EpochMs;
}
/** One message of a device on a serial line or a socket. */
export interface DeviceMessage {
  readonly payload: Uint8Array;
  readonly deviceName: string;
  /** Port, socket peer or radio address. */
  readonly address: string;
  readonly receivedTs: EpochMs;
}
/** One read, notification or advertisement of a Bluetooth device. */
export interface BleRead extends DeviceMessage {
  /** Element of the section that caused the read or the notification. */
  readonly key: string;
  readonly section: "attributes" | "telemetry";
}
/** What one poll of a Modbus device brought. */
export interface ModbusRead {
  readonly deviceName: string;
  readonly unitId: number;
  readonly byteOrder: "BIG" | "LITTLE";
  readonly wordOrder: "BIG" | "LITTLE";
  readonly receivedTs: EpochMs;
  readonly items: readonly ({
    readonly key: string;
    readonly section: "attributes" | "telemetry";
  } & ({ readonly registers: Uint16Array } | { readonly bits: readonly boolean[] }))[];
}
/** What one poll or notification of an OPC UA device brought. */
export interface OpcUaRead {
  readonly deviceName: string;
  readonly receivedTs: EpochMs;
  readonly items: readonly {
    readonly key: string;
    readonly section: "attributes" | "telemetry";
    readonly nodeId: string;
    readonly value: Json;
    readonly sourceTs?: EpochMs;
    /** OPC UA status code; 0 is Good. */
    readonly status: number;
  }[];
}
/** What the converter is given: by `type` for the built-in connectors; elsewhere as its parameter is annotated. */
export type UplinkRaw<Type extends string, Input> = Type extends "mqtt"
  ? MqttMessage<Input extends "decoded" ? Json | Uint8Array : Uint8Array>
  : Type extends keyof UplinkInputs
    ? UplinkInputs[Type]
    : unknown;

/** What `defineUplink` is given. */
export interface UplinkSpec<
  S extends StandardSchema,
  Type extends string,
  Input extends "bytes" | "decoded",
  Raw,
> {
  readonly name: string;
  readonly type: Type;
  /** mqtt only: the payload as it came ("bytes", default), or its JSON value or text as the reference decodes it. */
  readonly input?: Input;
  readonly schema: S;
  readonly overridesBuiltin?: true;
  create(config: Output<S>, ctx: ConverterContext): ConvertUplink<Raw>;
}
/** Tags an uplink converter. */
export function defineUplink<
  const S extends StandardSchema,
  const Type extends string,
  const Input extends "bytes" | "decoded" = "bytes",
  Raw extends UplinkRaw<Type, Input> = UplinkRaw<Type, Input>,
>(spec: UplinkSpec<S, Type, Input, Raw>): UplinkSpec<S, Type, Input, Raw> & Tag<"uplink"> {
  return { ...spec, kind: "uplink", api: 1 };
}

/** One thing on its way down: an RPC, or one key of an attribute update. */
export interface DownlinkRequest<Entry = Json> {
  readonly deviceName: string;
  readonly source: "rpc" | "attribute";
  /** RPC method or attribute key. */
  readonly name: string;
  /** RPC params or attribute value. */
  readonly value: Json;
  /** Element of the configuration that matched. */
  readonly entry: Entry;
}
/** Pure and synchronous. What goes on the wire: a payload, text, or for Modbus the register bytes, high byte first. `null`: nothing. @throws DataError */
export type DownlinkConverter<Entry = Json> = (
  request: DownlinkRequest<Entry>,
) => Uint8Array | string | null;
/** What `defineDownlink` is given. */
export interface DownlinkSpec<S extends StandardSchema, Entry> {
  readonly name: string;
  readonly type: string;
  readonly schema: S;
  readonly overridesBuiltin?: true;
  create(config: Output<S>, ctx: ConverterContext): DownlinkConverter<Entry>;
}
/** Tags a downlink converter. */
export function defineDownlink<const S extends StandardSchema, Entry = Json>(
  spec: DownlinkSpec<S, Entry>,
): DownlinkSpec<S, Entry> & Tag<"downlink"> {
  return { ...spec, kind: "downlink", api: 1 };
}
