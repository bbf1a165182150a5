/**
 * The module `tbgw/sdk`: what extension files and the shipped examples import. It is the one file that only hands on what
 * others define; each name is documented where it is defined.
 */
export { compileArithmetic } from "../sdk/arithmetic.ts";
export { backoffMs, DEFAULT_RETRY, type RetryPolicy } from "../sdk/backoff.ts";
export { type ByteOrder, ByteReader, ByteWriter } from "../sdk/bytes.ts";
export type { Clock } from "../sdk/clock.ts";
export { entries, type FieldInfo, field, optional, required } from "../sdk/config.ts";
export {
  type AcceptResult,
  type AttributeKeys,
  type Connector,
  type ConnectorHost,
  type ConnectorSpec,
  defineConnector,
  type Explanation,
  type Finding,
  type GatewayUplink,
  type Metrics,
  type ProbeArgs,
  type Uplink,
} from "../sdk/connector.ts";
export {
  type BleRead,
  type ConverterContext,
  type ConvertUplink,
  type DeviceMessage,
  type DownlinkConverter,
  type DownlinkRequest,
  type DownlinkSpec,
  defineDownlink,
  defineUplink,
  type ModbusRead,
  type MqttMessage,
  type OpcUaRead,
  type UplinkConverter,
  type UplinkInputs,
  type UplinkRaw,
  type UplinkSpec,
} from "../sdk/converter.ts";
export { coerce } from "../sdk/datatypes.ts";
export { normaliseTs, parseDate } from "../sdk/dates.ts";
export { encodeJson } from "../sdk/encode.ts";
export {
  assert,
  ConfigError,
  type ConfigIssue,
  DataError,
  InvariantError,
  RejectedError,
  RpcError,
  TransientError,
} from "../sdk/errors.ts";
export { compileExpression, template } from "../sdk/expression.ts";
export { compileJsonPath } from "../sdk/json-path.ts";
export { decodePayload, readJson } from "../sdk/json-reader.ts";
export { type LogFields, type Logger, rateLimited } from "../sdk/logger.ts";
export {
  type AttributeUpdate,
  type DeviceData,
  type EpochMs,
  epochMs,
  Float,
  isJsonObject,
  type Json,
  type ReportStrategy,
  type RpcRequest,
  type TelemetryEntry,
  type Values,
} from "../sdk/model.ts";
export { Outbox, type OutboxHost } from "../sdk/outbox.ts";
export { Pending, type Waiting } from "../sdk/pending.ts";
export { compilePythonRegex } from "../sdk/python-regex.ts";
export { reportStrategy, type StrategyConfig, toReportStrategy } from "../sdk/report-strategy.ts";
export { defineRpc, type RpcSpec } from "../sdk/rpc.ts";
export { Schedule } from "../sdk/schedule.ts";
export type { Output, StandardResult, StandardSchema, Tag } from "../sdk/standard-schema.ts";
export { type Link, supervise } from "../sdk/supervise.ts";
export { openSerialPort, type SerialPort, type SerialPortOptions } from "./serial-port.ts";
