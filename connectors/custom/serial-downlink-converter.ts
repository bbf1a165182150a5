import { DataError, defineDownlink, encodeJson, type Json, template } from "tbgw/sdk";
import { type SerialAttributeUpdate, type SerialRpc, serialDevice } from "./serial-config.ts";

/**
 * Encodes what is sent to a device: for an attribute the text of `stringToDevice`, for a method its parameters as `type` says.
 */
export default defineDownlink<typeof serialDevice, SerialRpc | SerialAttributeUpdate>({
  name: "SerialDownlinkConverter",
  type: "serial",
  schema: serialDevice,
  create:
    ({ byteorder, deviceType }) =>
    ({ deviceName, name, value, entry }) => {
      if (isRpc(entry)) {
        return encodeParams(value, entry.type, byteorder);
      }
      const { stringToDevice } = entry;
      return stringToDevice === undefined
        ? asText(value)
        : fill(stringToDevice, { deviceName, deviceType, [name]: value });
    },
});

function isRpc(entry: SerialRpc | SerialAttributeUpdate): entry is SerialRpc {
  return "method" in entry;
}

function fill(text: string, variables: Readonly<Record<string, Json>>): string {
  const filled = template(text)(variables);
  if (filled.missing.length > 0) {
    const tags = filled.missing.map((tag) => `\${${tag}}`).join(", ");
    throw new DataError(`stringToDevice: there is no value for ${tags}`);
  }
  return filled.text;
}

function asText(value: Json): string {
  return typeof value === "string" ? value : encodeJson(value);
}

type ByteOrder = "big" | "little";

function encodeParams(value: Json, type: string, order: ByteOrder): Uint8Array | string {
  switch (type) {
    case "int":
      return encodeInt(wholeNumber(value), order);
    case "float":
    case "double":
      return encodeFloat(plainNumber(value), order);
    default:
      if (typeof value !== "string") {
        throw new DataError(`Cannot send ${encodeJson(value)}: params must be a text`);
      }
      return value;
  }
}

/** The fewest bytes that hold it; none for 0. */
function encodeInt(value: bigint, order: ByteOrder): Uint8Array {
  if (value < 0n) {
    throw new DataError(`Cannot send ${value} as int: must not be negative`);
  }
  const digits = value === 0n ? "" : value.toString(16);
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex");
  return order === "big" ? bytes : bytes.reverse();
}

/** 4 bytes when they hold it exactly, else 8. */
function encodeFloat(value: number, order: ByteOrder): Uint8Array {
  const isSingle = Math.fround(value) === value;
  const view = new DataView(new ArrayBuffer(isSingle ? 4 : 8));
  if (isSingle) {
    view.setFloat32(0, value, order === "little");
  } else {
    view.setFloat64(0, value, order === "little");
  }
  return new Uint8Array(view.buffer);
}

function plainNumber(value: Json): number {
  const text = typeof value === "string" ? value : encodeJson(value);
  const read = text.trim() === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(read) || typeof value === "boolean" || value === null) {
    throw new DataError(`Cannot send ${encodeJson(value)} as float: must be a number`);
  }
  return read;
}

function wholeNumber(value: Json): bigint {
  const text = typeof value === "string" ? value.trim() : encodeJson(value);
  const whole = text.replace(/\.0+$/, "");
  if (!/^-?\d+$/.test(whole)) {
    throw new DataError(`Cannot send ${encodeJson(value)} as int: must be a whole number`);
  }
  return BigInt(whole);
}
