import type { MqttMessage } from "#sdk/converter";
import type { DataError } from "#sdk/errors";
import type { DeviceData } from "#sdk/model";
import { createBytesConverter } from "./bytes-converter.ts";
import { createJsonConverter } from "./json-converter.ts";
import type { BytesConverterConfig, JsonConverterConfig, Mapping } from "./mapping-config.ts";

/** Turns one message into the records of its devices; see `createUplink`. */
export type ConvertMessage = (
  message: MqttMessage,
  onBadPoint: (error: DataError) => void,
) => readonly DeviceData[];

/** A mapping whose messages this connector converts itself. */
export type BuiltInMapping = Pick<Mapping, "reportStrategy"> & {
  readonly converter: JsonConverterConfig | BytesConverterConfig;
};

/**
 * Compiles a mapping into the function that converts its messages. Pure: it keeps nothing between messages. The function
 * throws a DataError when a message as a whole is of no use (`not-json`, `no-device-name`), hands a value that cannot be
 * converted to `onBadPoint` (`bad-value`) and goes on with the next, and returns an empty list when there is nothing to send.
 * A time that cannot be read is reported there too (`bad-timestamp`); its value is sent with the time of arrival.
 */
export function createUplink(mapping: BuiltInMapping): ConvertMessage {
  const { converter } = mapping;
  const strategy = mapping.reportStrategy ?? converter.reportStrategy;
  return converter.type === "json"
    ? createJsonConverter(converter, strategy)
    : createBytesConverter(converter, strategy);
}
