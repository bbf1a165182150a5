import type { Json } from "#sdk/model";
import { arrangeCoils, type BitOrder, coilAt, coilBytes, registerBits } from "./bits.ts";
import { numberReader, type Orders } from "./codec.ts";
import { nameOf, type Scaling, scaler, type Variants } from "./scaling.ts";
import { coilsOf, isNumber, registersOf, type ValueType, valueType } from "./value-type.ts";

/** 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers. */
export type ReadCode = 1 | 2 | 3 | 4;

/** How an item of the configuration is read. */
export interface ReadSettings {
  readonly functionCode: ReadCode;
  readonly type: string;
  readonly objectsCount: number;
  readonly round?: number | undefined;
  readonly divider?: number | undefined;
  readonly multiplier?: number | undefined;
  readonly bit?: number | undefined;
  /** Number of the one bit of a register that counts; bit 0 is the lowest. */
  readonly registerBit?: number | undefined;
  readonly bitTargetType?: string | undefined;
  readonly bitOrder?: BitOrder | undefined;
  readonly variants?: Variants | undefined;
  readonly trimNulls?: boolean | undefined;
}

/** Reads one item out of the bytes of a response. */
export interface Decoder {
  /** Registers or coils it takes. */
  readonly length: number;
  /** Whether it may be fetched in parts: text, bytes, and lists of coils. */
  readonly divisible: boolean;
  /**
   * `offset` is the place of its first register or coil among those in `view`, which holds all of them.
   * `undefined`: no value (NaN, infinite).
   */
  decode(view: DataView, offset: number): Json | undefined;
}

/** Decimals of a float when nothing is said. */
const DEFAULT_ROUND = 6;

/** Compiles an item. @throws DataError for a type that cannot be read this way */
export function createDecoder(settings: ReadSettings, orders: Orders): Decoder {
  const type = valueType(settings.type, settings.objectsCount);
  const decoder =
    settings.functionCode <= 2
      ? coilDecoder(type, settings, orders)
      : registerDecoder(type, settings, orders);
  const { variants } = settings;
  if (variants === undefined) {
    return decoder;
  }
  return {
    ...decoder,
    decode: (view, offset) => {
      const value = decoder.decode(view, offset);
      return value === undefined ? undefined : nameOf(value, variants);
    },
  };
}

function registerDecoder(type: ValueType, settings: ReadSettings, orders: Orders): Decoder {
  const length = registersOf(type, settings.objectsCount);
  if (isNumber(type)) {
    const read = numberReader(type, orders);
    const finish = scaler(type.kind === "float", scalingOf(settings));
    return { length, divisible: false, decode: (view, at) => finish(read(view, 2 * at)) };
  }
  if (type.kind === "bits") {
    const finish = bitFinisher(settings);
    const { objectsCount, registerBit, bitOrder = "python" } = settings;
    const read =
      registerBit === undefined
        ? (register: number) => registerBits(register, objectsCount, bitOrder)
        : (register: number) => [((register >> registerBit) & 1) === 1];
    return {
      length: 1,
      divisible: false,
      decode: (view, at) => finish(read(view.getUint16(2 * at))),
    };
  }
  const finish = bytesFinisher(type.kind, settings);
  return { length, divisible: true, decode: (view, at) => finish(view, 2 * at, 2 * length) };
}

function scalingOf({ round, divider, multiplier }: ReadSettings): Scaling {
  return { round: round ?? DEFAULT_ROUND, divider, multiplier };
}

/** Scaling is for registers only. */
function coilDecoder(type: ValueType, settings: ReadSettings, orders: Orders): Decoder {
  const length = coilsOf(type, settings.objectsCount);
  if (type.kind === "bits") {
    const finish = bitFinisher(settings);
    const { bitOrder = "python" } = settings;
    return {
      length,
      divisible: true,
      decode: (view, at) => {
        const coils = Array.from({ length }, (_, index) => coilAt(view, at + index));
        return finish(arrangeCoils(coils, bitOrder));
      },
    };
  }
  if (isNumber(type)) {
    const read = numberReader(type, orders);
    const finish = scaler(type.kind === "float", {
      round: settings.round ?? DEFAULT_ROUND,
      divider: undefined,
      multiplier: undefined,
    });
    const decode = (view: DataView, at: number): Json | undefined =>
      finish(read(coilBytes(view, at, length), 0));
    return { length, divisible: false, decode };
  }
  const finish = bytesFinisher(type.kind, settings);
  const size = Math.ceil(length / 8);
  return {
    length,
    divisible: true,
    decode: (view, at) => finish(coilBytes(view, at, length), 0, size),
  };
}

/** One bit is a scalar, several are a list; `bit` picks one element as 0 or 1. */
function bitFinisher(settings: ReadSettings): (bits: readonly boolean[]) => Json {
  const { bit, bitTargetType = "bool" } = settings;
  const isBool = bitTargetType.toLowerCase() === "bool";
  const target = (value: boolean): boolean | number => (isBool ? value : Number(value));
  if (bit !== undefined) {
    return (bits) => Number(bits[Math.min(bit, bits.length - 1)] ?? false);
  }
  return (bits) => {
    const [only] = bits;
    return bits.length === 1 && only !== undefined ? target(only) : bits.map(target);
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function bytesFinisher(
  kind: "string" | "bytes",
  { trimNulls = true }: ReadSettings,
): (view: DataView, start: number, size: number) => Json {
  return (view, start, size) => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + start, size);
    if (kind === "bytes") {
      return bytes.toHex();
    }
    const end = trimNulls ? bytes.indexOf(0) : -1;
    return textOrHex(end === -1 ? bytes : bytes.subarray(0, end), bytes);
  };
}

/** Text that is not UTF-8 becomes the hexadecimal digits of all its bytes. */
function textOrHex(text: Uint8Array, all: Uint8Array): string {
  try {
    return utf8.decode(text);
  } catch {
    return all.toHex();
  }
}
