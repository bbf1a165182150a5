import { DataError, type DeviceData, defineUplink } from "tbgw/sdk";
import * as v from "valibot";

/** Profile of all its devices. */
const DEVICE_TYPE = "Thermostat";

/** How many bytes each value takes, in the order of the payload, and how they are read. */
const extensionConfig = v.pipe(
  v.record(v.string(), v.unknown()),
  v.rawCheck(({ dataset, addIssue }) => {
    for (const [key, size] of dataset.typed ? Object.entries(dataset.value) : []) {
      if (
        key !== BIG_ENDIAN &&
        !(Number.isInteger(size) && Number(size) >= 1 && Number(size) <= 8)
      ) {
        addIssue({ message: `"${key}" must be a number of bytes from 1 to 8` });
      }
    }
  }),
);

/** The switch in `extensionConfig` that reads all bytes of a value instead of the last one. */
const BIG_ENDIAN = "bigEndian";

/** The element of `mapping` it is used by. */
const mapping = v.looseObject({
  converter: v.looseObject({ extensionConfig: v.optional(extensionConfig) }),
});

/**
 * Reads values of a fixed number of bytes out of a payload of hexadecimal digits, with or without `0x` in front. The device is
 * the last level of the topic. As it always did, a value is its last byte alone; `bigEndian: true` reads all of its bytes.
 * Without `extensionConfig` the whole payload is one number, `data`.
 */
export default defineUplink({
  name: "CustomMqttUplinkConverter",
  type: "mqtt",
  schema: mapping,
  create: ({ converter }) => {
    const { [BIG_ENDIAN]: bigEndian, ...sizes } = converter.extensionConfig ?? {};
    const fields = Object.entries(sizes).map(([name, size]) => ({
      key: name.replaceAll("Bytes", ""),
      sizeBytes: Number(size),
    }));
    return ({ payload, topic, receivedTs }, onBadPoint): DeviceData => {
      const text = Buffer.from(payload).toString().trim();
      const values =
        converter.extensionConfig === undefined
          ? { data: readNumber(text) }
          : readFields(decodeHex(text), fields, { whole: bigEndian === true, onBadPoint });
      return {
        deviceName: topic.split("/").at(-1) ?? "",
        deviceType: DEVICE_TYPE,
        receivedTs,
        telemetry: Object.keys(values).length === 0 ? [] : [{ values }],
      };
    };
  },
});

/** One value of the payload. */
interface Field {
  readonly key: string;
  readonly sizeBytes: number;
}

function readFields(
  bytes: Uint8Array,
  fields: readonly Field[],
  options: { readonly whole: boolean; readonly onBadPoint: (error: DataError) => void },
): Record<string, number | bigint> {
  const values: Record<string, number | bigint> = {};
  let offset = 0;
  for (const { key, sizeBytes } of fields) {
    const part = bytes.subarray(offset, offset + sizeBytes);
    offset += sizeBytes;
    if (part.length < sizeBytes) {
      options.onBadPoint(
        new DataError(
          `Cannot read "${key}": need ${sizeBytes} bytes, the payload has ${part.length}`,
        ),
      );
    } else {
      values[key] = options.whole ? toNumber(part) : (part.at(-1) ?? 0);
    }
  }
  return values;
}

/** Unsigned, the first byte counts most; beyond 2^53 − 1 a bigint. */
function toNumber(bytes: Uint8Array): number | bigint {
  const value = BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

function decodeHex(text: string): Uint8Array {
  const digits = text.replaceAll("0x", "").replaceAll(/\s/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) {
    throw new DataError(`Cannot read "${text.slice(0, 40)}" as hexadecimal bytes`);
  }
  return Buffer.from(digits, "hex");
}

function readNumber(text: string): number | bigint {
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(text)) {
    throw new DataError(`Cannot read "${text.slice(0, 40)}" as a whole number`);
  }
  const size = BigInt(text.replace("-", ""));
  const value = text.startsWith("-") ? -size : size;
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
