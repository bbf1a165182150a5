import { DataError } from "#sdk/errors";

/** What stands in the registers or coils of an item. */
export type ValueType = NumberType | { readonly kind: "string" | "bytes" | "bits" };

/** A number of fixed size. A float has 16 bits or more. */
export interface NumberType {
  readonly kind: "int" | "uint" | "float";
  readonly bits: 8 | 16 | 32 | 64;
}

const FIXED = /^(8|16|32|64)(int|uint|float)$/;

/** Names without a size, whose size is that of `objectsCount` registers. */
const SIZED_BY_COUNT: Readonly<Record<string, "int" | "uint" | "float">> = {
  int: "int",
  integer: "int",
  long: "int",
  word: "int",
  dword: "int",
  "dword/integer": "int",
  uint: "uint",
  unsigned: "uint",
  "unsigned int": "uint",
  "unsigned integer": "uint",
  float: "float",
  double: "float",
};

const OTHERS: Readonly<Record<string, "string" | "bytes" | "bits">> = {
  string: "string",
  bytes: "bytes",
  bit: "bits",
  bits: "bits",
  coil: "bits",
  coils: "bits",
};

/**
 * The type a configuration names, in any case. `int`, `float` and the like take their size from `objectsCount`.
 * @throws DataError for an unknown name, and for a size that no number has.
 */
export function valueType(name: string, objectsCount: number): ValueType {
  const lower = name.trim().toLowerCase();
  const fixed = FIXED.exec(lower);
  if (fixed !== null && lower !== "8float") {
    return { kind: kindOf(fixed[2]), bits: bitsOf(Number(fixed[1])) };
  }
  const alias = SIZED_BY_COUNT[lower];
  if (alias !== undefined) {
    if (![1, 2, 4].includes(objectsCount)) {
      throw new DataError(
        `Cannot read or write "${name}" with objectsCount ${objectsCount}: need 1, 2 or 4 registers`,
      );
    }
    return { kind: alias, bits: bitsOf(16 * objectsCount) };
  }
  const other = OTHERS[lower];
  if (other === undefined) {
    throw new DataError(`"${name}" is no type: use 16int, 32uint, 32float, string, bits, …`);
  }
  return { kind: other };
}

function kindOf(name: string | undefined): NumberType["kind"] {
  return name === "int" || name === "uint" ? name : "float";
}

function bitsOf(bits: number): NumberType["bits"] {
  switch (bits) {
    case 8:
    case 16:
    case 32:
      return bits;
    default:
      return 64;
  }
}

/** Whether a type has a size of its own, whatever `objectsCount` says. */
export function isNumber(type: ValueType): type is NumberType {
  return type.kind === "int" || type.kind === "uint" || type.kind === "float";
}

/** Registers a value takes. Bits are packed 16 to a register when written; only the first register counts when read. */
export function registersOf(type: ValueType, objectsCount: number): number {
  if (isNumber(type)) {
    return Math.ceil(type.bits / 16);
  }
  return type.kind === "bits" ? Math.ceil(objectsCount / 16) : objectsCount;
}

/** Coils a value takes: a number needs so many that its last byte is begun. */
export function coilsOf(type: ValueType, objectsCount: number): number {
  if (!isNumber(type) || 8 * Math.ceil(objectsCount / 8) >= type.bits) {
    return objectsCount;
  }
  return type.bits;
}
