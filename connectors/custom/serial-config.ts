import { entries, field, optional, reportStrategy, required } from "tbgw/sdk";
import * as v from "valibot";

const nonEmpty = v.pipe(v.string(), v.nonEmpty("must not be empty"));
const number = v.union([
  v.number(),
  v.pipe(v.string(), v.regex(/^\s*-?\d+(\.\d+)?\s*$/), v.transform(Number)),
]);
const integer = v.pipe(number, v.integer());
const duration = v.pipe(number, v.minValue(0.01), v.maxValue(3600));
const ignored = (doc: string) => optional(v.unknown(), { doc, ignored: true });

/** Which part of a message, and what it is read as. */
const partFields = {
  fromByte: optional(integer, {
    doc: "First byte of the value, counted from 0; below zero from the end. Without effect beside a delimiter.",
  }),
  toByte: optional(integer, {
    doc: "First byte behind the value, in the same way. Without effect beside a delimiter.",
  }),
  untilDelimiter: optional(nonEmpty, {
    doc: "The value ends before this text; a message without it gives no value.",
  }),
  fromDelimiter: optional(nonEmpty, {
    doc: "The value begins with this text; a message without it gives no value.",
  }),
} as const;

const valueType = {
  type: optional(v.string(), {
    doc: "`string`, `json`, `int`, `float` or `double`, `bool`; with anything else, and without it, the bytes as hexadecimal digits.",
  }),
} as const;

const uplinkItem = v.looseObject({
  key: required(nonEmpty, { doc: "Name of the value." }),
  ...valueType,
  ...partFields,
  reportStrategy: optional(reportStrategy, { doc: "When the value goes up." }),
});

const attributeUpdate = v.looseObject({
  attributeOnPlatform: required(nonEmpty, { doc: "The shared attribute." }),
  stringToDevice: optional(v.string(), {
    doc: "Text to send, with `${NAME OF THE ATTRIBUTE}`, `${deviceName}` and `${deviceType}`. Default: the value.",
  }),
});

const serverSideRpc = v.looseObject({
  method: required(nonEmpty, { doc: "Name of the method, exactly." }),
  type: field(v.string(), "string", {
    doc: "What the parameters are sent as: `int`, `float` or `double`; anything else as text.",
  }),
  withResponse: field(v.boolean(), false, { doc: "The device answers; the answer is the reply." }),
  responseType: optional(v.string(), { doc: "What the answer is read as, like `type` above." }),
  responseFromByte: optional(integer, { doc: "First byte of the value in the answer." }),
  responseToByte: optional(integer, { doc: "First byte behind the value in the answer." }),
  responseUntilDelimiter: optional(nonEmpty, {
    doc: "The answer ends with this text, not with `delimiter`; the text is no part of the value.",
  }),
  responseStartsWith: optional(nonEmpty, {
    doc: "Only a message that begins with this text is the answer; others go up as usual.",
  }),
  responseTimeoutSec: field(duration, 5, { doc: "Longest wait for the answer.", unit: "s" }),
});

/** An element of `devices`: one device on one port. */
export const serialDevice = v.looseObject({
  deviceName: field(v.pipe(nonEmpty, v.maxLength(255)), "SerialDevice", {
    doc: "Name of the device on the platform; `name` is the same.",
  }),
  deviceType: field(v.string(), "default", { doc: "Device profile; `type` is the same." }),
  port: field(nonEmpty, "/dev/ttyUSB0", { doc: "Path of the serial port.", reference: true }),
  baudrate: field(v.pipe(integer, v.minValue(50), v.maxValue(4_000_000)), 9600, {
    doc: "Bits per second.",
  }),
  bytesize: field(v.pipe(integer, v.picklist([5, 6, 7, 8])), 8, { doc: "Data bits." }),
  stopbits: field(v.pipe(number, v.picklist([1, 1.5, 2])), 1, { doc: "Stop bits." }),
  parity: field(v.pipe(v.string(), v.toUpperCase(), v.picklist(["N", "E", "O", "M", "S"])), "N", {
    doc: "None, even, odd, mark or space.",
  }),
  rtscts: field(v.boolean(), false, { doc: "RTS and CTS say who may send." }),
  xonxoff: field(v.boolean(), false, { doc: "XON and XOFF say who may send; for text only." }),
  writeTimeout: field(duration, 5, {
    doc: "Longest wait for the port to take a message.",
    unit: "s",
  }),
  timeout: ignored("Without effect: a message ends with its delimiter, however long it takes."),
  interByteTimeout: ignored("Without effect, as `timeout`."),
  dsrdtr: ignored("Without effect."),
  exclusive: ignored("Without effect: a port is never shared."),
  delimiter: field(nonEmpty, "\n", { doc: "Text that ends each message of the device." }),
  byteorder: field(v.picklist(["big", "little"]), "big", {
    doc: "Order of the bytes of numbers sent.",
  }),
  converter: field(nonEmpty, "SerialUplinkConverter", {
    doc: "Converter of what the device says; `uplink_converter` is the same.",
    converter: { kind: "uplink" },
  }),
  downlink_converter: field(nonEmpty, "SerialDownlinkConverter", {
    doc: "Converter of what is sent to the device.",
    converter: { kind: "downlink" },
  }),
  telemetry: field(entries(uplinkItem), [], { doc: "Time series; `timeseries` is the same." }),
  attributes: field(entries(uplinkItem), [], { doc: "Client-side attributes." }),
  attributeUpdates: field(entries(attributeUpdate), [], {
    doc: "Shared attributes that are sent to the device when they change.",
  }),
  serverSideRpc: field(entries(serverSideRpc), [], { doc: "Methods of the device." }),
  reportStrategy: optional(reportStrategy, { doc: "When the values of the device go up." }),
});

/** The connector file. */
export const serialConfig = v.looseObject({
  uplinkQueueSize: field(v.pipe(integer, v.minValue(1), v.maxValue(10_000_000)), 100_000, {
    doc: "Records that may wait for the event store; more are dropped and counted.",
  }),
  devices: field(entries(serialDevice), [], { doc: "The devices, each on its port." }),
});

/** The connector file as `create` gets it. */
export type SerialConfig = v.InferOutput<typeof serialConfig>;
/** An element of `devices`. */
export type SerialDeviceConfig = v.InferOutput<typeof serialDevice>;
/** An element of `telemetry` or `attributes`. */
export type SerialItem = v.InferOutput<typeof uplinkItem>;
/** An element of `serverSideRpc`. */
export type SerialRpc = v.InferOutput<typeof serverSideRpc>;
/** An element of `attributeUpdates`. */
export type SerialAttributeUpdate = v.InferOutput<typeof attributeUpdate>;
