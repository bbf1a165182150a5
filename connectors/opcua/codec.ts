import { encodeJson } from "#sdk/encode";
import { Float, type Json } from "#sdk/model";

/** Builtin types by their number on the wire (OPC UA Part 6 §5.1.2). */
export const BUILTIN = {
  Null: 0,
  Boolean: 1,
  SByte: 2,
  Byte: 3,
  Int16: 4,
  UInt16: 5,
  Int32: 6,
  UInt32: 7,
  Int64: 8,
  UInt64: 9,
  Float: 10,
  Double: 11,
  String: 12,
  DateTime: 13,
  Guid: 14,
  ByteString: 15,
  XmlElement: 16,
  NodeId: 17,
  ExpandedNodeId: 18,
  StatusCode: 19,
  QualifiedName: 20,
  LocalizedText: 21,
  ExtensionObject: 22,
  DataValue: 23,
  Variant: 24,
  DiagnosticInfo: 25,
} as const;

/** A value with its type, as the stack decodes it. */
export interface TypedValue {
  readonly dataType: number;
  /** 0 scalar, 1 array, 2 matrix. */
  readonly arrayType: number;
  readonly dimensions: readonly number[] | null;
  readonly value: unknown;
}

/** How values are written. */
export interface ValueFormat {
  /** Arrays and LocalizedText exactly as Python's `str()` has them. */
  readonly python: boolean;
}

const SCALAR = 0;
const MATRIX = 2;
/** Nesting of variants, structures and matrices that is followed. */
const MAX_DEPTH = 16;

/** The value of a variant as JSON; `undefined` when there is none: null, NaN, ±Infinity, a type that cannot be shown. */
export function convertValue(variant: TypedValue, format: ValueFormat): Json | undefined {
  return convert(variant, format, 0);
}

function convert(variant: TypedValue, format: ValueFormat, depth: number): Json | undefined {
  const { arrayType, value } = variant;
  if (depth > MAX_DEPTH || value === null || value === undefined) {
    return undefined;
  }
  if (arrayType === SCALAR) {
    return convertScalar(variant.dataType, value, { format, depth });
  }
  return convertArray(variant, format, depth);
}

interface Context {
  readonly format: ValueFormat;
  readonly depth: number;
}

type Convert = (value: unknown, context: Context) => Json | undefined;

const convertNumber: Convert = (value) =>
  typeof value === "number" && Number.isSafeInteger(value) ? value : undefined;
const convertFloat: Convert = (value) =>
  typeof value === "number" && Number.isFinite(value) ? new Float(value) : undefined;
const convertString: Convert = (value) => (typeof value === "string" ? value : undefined);
const convertNodeId: Convert = (value) => formatLibraryNodeId(value);

/** How a single value of each builtin type is converted; DiagnosticInfo and Null are no value. */
const CONVERTERS: Readonly<Record<number, Convert>> = {
  [BUILTIN.Boolean]: (value) => Boolean(value),
  [BUILTIN.SByte]: convertNumber,
  [BUILTIN.Byte]: convertNumber,
  [BUILTIN.Int16]: convertNumber,
  [BUILTIN.UInt16]: convertNumber,
  [BUILTIN.Int32]: convertNumber,
  [BUILTIN.UInt32]: convertNumber,
  [BUILTIN.Int64]: (value) => toBigInt(value, (bits) => BigInt.asIntN(64, bits)),
  [BUILTIN.UInt64]: (value) => toBigInt(value, (bits) => BigInt.asUintN(64, bits)),
  [BUILTIN.Float]: convertFloat,
  [BUILTIN.Double]: convertFloat,
  [BUILTIN.String]: convertString,
  [BUILTIN.DateTime]: (value) => (value instanceof Date ? formatDate(value) : undefined),
  [BUILTIN.Guid]: (value) => (typeof value === "string" ? value.toLowerCase() : undefined),
  [BUILTIN.ByteString]: (value) =>
    value instanceof Uint8Array ? Buffer.from(value).toString("hex") : undefined,
  [BUILTIN.XmlElement]: convertString,
  [BUILTIN.NodeId]: convertNodeId,
  [BUILTIN.ExpandedNodeId]: convertNodeId,
  [BUILTIN.StatusCode]: (value) => textProperty(value, "name"),
  [BUILTIN.QualifiedName]: (value) =>
    `${numberProperty(value, "namespaceIndex")}:${textProperty(value, "name") ?? ""}`,
  [BUILTIN.LocalizedText]: (value, { format }) => convertLocalizedText(value, format),
  [BUILTIN.ExtensionObject]: convertStructure,
  [BUILTIN.DataValue]: (value, context) => convertInner(property(value, "value"), context),
  [BUILTIN.Variant]: convertInner,
};

function convertScalar(dataType: number, value: unknown, context: Context): Json | undefined {
  return value === null || value === undefined ? undefined : CONVERTERS[dataType]?.(value, context);
}

function convertLocalizedText(value: unknown, format: ValueFormat): Json | undefined {
  const text = textProperty(value, "text");
  if (!format.python) {
    return text;
  }
  const repr = (part: string | undefined): string =>
    part === undefined ? "None" : pythonRepr(part);
  return `LocalizedText(Locale=${repr(textProperty(value, "locale"))}, Text=${repr(text)})`;
}

/** A text as Python's `repr` quotes it. */
function pythonRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text
    .replaceAll("\\", "\\\\")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t");
  return `${quote}${quote === "'" ? escaped.replaceAll("'", "\\'") : escaped}${quote}`;
}

function convertInner(value: unknown, { format, depth }: Context): Json | undefined {
  return isTypedValue(value) ? convert(value, format, depth + 1) : undefined;
}

/** An array whose elements are values each; an element without a value is `null`, so that the others keep their places. */
function convertArray(variant: TypedValue, format: ValueFormat, depth: number): Json | undefined {
  const { value, dataType, arrayType, dimensions } = variant;
  if (!isIterable(value)) {
    return undefined;
  }
  const context = { format, depth };
  if (format.python) {
    const texts = Array.from(value, (item) => pythonText(dataType, item, context));
    return arrayType === MATRIX ? rows(texts, dimensions).map(String) : texts;
  }
  const items = Array.from(value, (item) => convertScalar(dataType, item, context) ?? null);
  return arrayType === MATRIX ? nest(items, dimensions ?? []) : items;
}

/** One element as Python's `str()` writes it. */
function pythonText(dataType: number, item: unknown, context: Context): string {
  if (dataType === BUILTIN.ByteString && item instanceof Uint8Array) {
    return pythonBytes(item);
  }
  if (dataType === BUILTIN.DateTime && item instanceof Date) {
    return formatDate(item).replace("T", " ");
  }
  if (dataType === BUILTIN.Float || dataType === BUILTIN.Double) {
    return typeof item === "number" ? pythonFloat(item) : "None";
  }
  return pythonScalar(convertScalar(dataType, item, context));
}

function pythonScalar(value: Json | undefined): string {
  if (value === undefined || value === null) {
    return "None";
  }
  if (typeof value === "boolean") {
    return value ? "True" : "False";
  }
  return typeof value === "object" ? encodeJson(value) : String(value);
}

/** A float as Python writes it: `5.0`, `1e+16`, `1e-05`, `nan`, `inf`. */
export function pythonFloat(value: number): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  }
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude >= 1e16 || magnitude < 1e-4)) {
    const [mantissa = "", exponent = "0"] = value.toExponential().split("e");
    const digits = exponent.replace(/^[+-]/, "").padStart(2, "0");
    return `${mantissa}e${exponent.startsWith("-") ? "-" : "+"}${digits}`;
  }
  const text = String(value);
  return Number.isInteger(value) ? `${Object.is(value, -0) ? "-0" : text}.0` : text;
}

/** Bytes as Python's `str()` writes them: `b'\x01A'`. */
function pythonBytes(bytes: Uint8Array): string {
  const text = Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte);
    if (char === "\\" || char === "'") {
      return `\\${char}`;
    }
    return byte >= 0x20 && byte < 0x7f ? char : `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  return `b'${text.join("")}'`;
}

/** Python shows a matrix as the texts of its rows. */
function rows(texts: readonly string[], dimensions: readonly number[] | null): readonly string[] {
  const width = dimensions?.at(-1) ?? 0;
  if (width === 0) {
    return texts;
  }
  return Array.from(
    { length: Math.ceil(texts.length / width) },
    (_, row) => `[${texts.slice(row * width, (row + 1) * width).join(", ")}]`,
  );
}

/** A flat list as nested lists; one that does not fit its dimensions stays flat. */
function nest(items: readonly Json[], dimensions: readonly number[]): Json {
  const [first, ...rest] = dimensions;
  const size = rest.reduce((product, length) => product * length, 1);
  if (first === undefined || rest.length === 0 || first * size !== items.length) {
    return items;
  }
  return Array.from({ length: first }, (_, index) =>
    nest(items.slice(index * size, (index + 1) * size), rest),
  );
}

/** The stack's pair of high and low 32 bits as one integer. */
function toBigInt(value: unknown, wrap: (bits: bigint) => bigint): bigint | undefined {
  if (typeof value === "number" || typeof value === "bigint") {
    return wrap(BigInt(value));
  }
  if (!isIterable(value)) {
    return undefined;
  }
  const [high, low] = Array.from(value);
  return typeof high === "number" && typeof low === "number"
    ? wrap((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0))
    : undefined;
}

/** `2026-03-01T10:00:00.250000+00:00`, without a fraction when there is none. */
export function formatDate(date: Date): string {
  if (Number.isNaN(date.getTime())) {
    return "";
  }
  const [seconds = "", fraction = "000"] = date.toISOString().replace("Z", "").split(".");
  return `${seconds}${fraction === "000" ? "" : `.${fraction}000`}+00:00`;
}

/** A node id object of the stack as text. */
export function formatLibraryNodeId(value: unknown): string | undefined {
  const namespace = numberProperty(value, "namespace");
  const kind = numberProperty(value, "identifierType");
  const identifier = property(value, "value");
  const tail = formatIdentifier(kind, identifier);
  if (tail === undefined) {
    return undefined;
  }
  const uri = textProperty(value, "namespaceUri");
  const server = numberProperty(value, "serverIndex");
  return [
    namespace === 0 ? tail : `ns=${namespace};${tail}`,
    server === 0 ? "" : `;srv=${server}`,
    uri === undefined || uri === "" ? "" : `;nsu=${uri}`,
  ].join("");
}

/** Identifier types by their number (OPC UA Part 6 §5.2.2.9, as the stack counts them). */
function formatIdentifier(kind: number, identifier: unknown): string | undefined {
  switch (kind) {
    case 1:
      return typeof identifier === "number" ? `i=${identifier}` : undefined;
    case 2:
      return typeof identifier === "string" ? `s=${identifier}` : undefined;
    case 3:
      return typeof identifier === "string" ? `g=${identifier.toLowerCase()}` : undefined;
    case 4:
      return identifier instanceof Uint8Array
        ? `b=${Buffer.from(identifier).toString("base64")}`
        : undefined;
    default:
      return undefined;
  }
}

/** A structure as an object with the field names of the server; one that was not decoded as its type and bytes. */
function convertStructure(value: unknown, { format, depth }: Context): Json | undefined {
  if (depth > MAX_DEPTH || !isObject(value)) {
    return undefined;
  }
  const opaque = property(value, "buffer");
  if (opaque instanceof Uint8Array) {
    const typeId = formatLibraryNodeId(property(value, "nodeId")) ?? "";
    return { typeId, body: Buffer.from(opaque).toString("hex") };
  }
  const fields = property(property(value, "schema"), "fields");
  if (!isIterable(fields)) {
    return undefined;
  }
  const converted: Record<string, Json> = {};
  for (const field of fields) {
    const name = textProperty(field, "name");
    if (name !== undefined) {
      const inner = convertField(field, property(value, name), { format, depth: depth + 1 });
      converted[textProperty(field, "originalName") ?? name] = inner ?? null;
    }
  }
  return converted;
}

/** A field of a structure: the schema names its type, and says whether it is a list. */
function convertField(field: unknown, value: unknown, context: Context): Json | undefined {
  const isList = property(field, "isArray") === true;
  if (isList) {
    return isIterable(value)
      ? Array.from(
          value,
          (item) => convertField({ ...toObject(field), isArray: false }, item, context) ?? null,
        )
      : undefined;
  }
  const dataType = BUILTIN_NAMES.get(textProperty(field, "fieldType") ?? "");
  if (dataType !== undefined) {
    return convertScalar(dataType, value, context);
  }
  // An enumeration, or a structure of its own.
  return typeof value === "number" ? value : convertStructure(value, context);
}

const BUILTIN_NAMES: ReadonlyMap<string, number> = new Map([
  ...Object.entries(BUILTIN),
  ["UtcTime", BUILTIN.DateTime],
  ["CharArray", BUILTIN.String],
  ["UAString", BUILTIN.String],
]);

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function toObject(value: unknown): object {
  return isObject(value) ? value : {};
}

function property(value: unknown, name: string): unknown {
  return isObject(value) ? Reflect.get(value, name) : undefined;
}

function textProperty(value: unknown, name: string): string | undefined {
  const text = property(value, name);
  return typeof text === "string" ? text : undefined;
}

function numberProperty(value: unknown, name: string): number {
  const number = property(value, name);
  return typeof number === "number" ? number : 0;
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return isObject(value) && Symbol.iterator in value;
}

function isTypedValue(value: unknown): value is TypedValue {
  return isObject(value) && "dataType" in value && "arrayType" in value && "value" in value;
}
