import * as v from "valibot";
import { field, optional, required } from "#sdk/config";
import type { Json } from "#sdk/model";
import { reportStrategy } from "#sdk/report-strategy";
import { readProblem, writeProblem } from "./problems.ts";

/** A whole number, also as text: `"502"`. */
export function wholeNumber(min: number, max: number) {
  return v.pipe(
    v.union([v.number(), v.pipe(v.string(), v.regex(/^\s*\d+\s*$/), v.transform(Number))]),
    v.integer(),
    v.minValue(min),
    v.maxValue(max),
  );
}

/** Any JSON value. */
export const json = v.custom<Json>(() => true);

/** A number, also as text. */
export const anyNumber = v.pipe(
  v.union([
    v.number(),
    v.pipe(v.string(), v.regex(/^\s*[-+]?\d+(\.\d*)?\s*$/), v.transform(Number)),
  ]),
  v.finite(),
);

const readCode = v.pipe(
  wholeNumber(1, 4),
  v.transform((code): 1 | 2 | 3 | 4 => (code === 1 ? 1 : code === 2 ? 2 : code === 3 ? 3 : 4)),
);

/** Of anything that reads or writes. */
export const functionCode = v.pipe(
  wholeNumber(1, 16),
  v.check((value) => [1, 2, 3, 4, 5, 6, 15, 16].includes(value), "must be 1 to 6, 15 or 16"),
);

const bitOrder = v.pipe(v.string(), v.toLowerCase(), v.picklist(["python", "natural"]));

/** `"4"` or `"10-20"`: the place of the first and of the last value. */
const addressOrRange = v.union([
  v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535)),
  v.pipe(v.string(), v.regex(/^\s*\d+\s*(-\s*\d+\s*)?$/, 'must be a number or a range "10-20"')),
]);

const tag = required(v.pipe(v.string(), v.nonEmpty("must not be empty")), {
  doc: "Key on the platform. For a range a template with `${address}`, `${unitId}`, `${functionCode}`, `${type}`, `${objectsCount}`.",
  examples: ["temperature", "r_${address}"],
});

const objectsCount = field(wholeNumber(1, 65_536), 1, {
  doc: "Registers or coils of the value. Types with a size of their own read what they need.",
});

const registerBit = optional(wholeNumber(0, 15), {
  doc: "Bit types on registers: the one bit that counts; bit 0 is the lowest. Written by reading the register and changing that bit.",
});

const bits = {
  registerBit,
  bitOrder: field(bitOrder, "python", {
    doc: "Bit types: `python` turns each group of eight round, as the Python gateway does; `natural` puts the first coil or the lowest bit first.",
  }),
};

/** How a value that was read is worked on. */
const reading = {
  divider: optional(anyNumber, {
    doc: "Registers only: the value is divided. Goes before `multiplier`; 0 is off.",
  }),
  multiplier: optional(anyNumber, { doc: "Registers only: the value is multiplied." }),
  round: field(v.pipe(v.number(), v.integer()), 6, {
    doc: "Decimals of float types, rounded before scaling.",
  }),
  bit: optional(wholeNumber(0, 65_535), {
    doc: "Bit types: the element of the list to take, as 0 or 1.",
  }),
  bitTargetType: field(v.string(), "bool", {
    doc: "Bit types: `bool` gives true and false, anything else 1 and 0.",
  }),
  variants: optional(v.record(v.string(), json), {
    doc: 'Names for values: `{"1": "RUN"}`. A value without a name stays as it is.',
  }),
  trimNulls: field(v.boolean(), true, { doc: "`string`: the text ends at the first NUL." }),
};

/** Says what is wrong with an item as a whole. */
export function checked<T>(problemOf: (item: T) => string | undefined) {
  return v.rawCheck<T>(({ dataset, addIssue }) => {
    const problem = dataset.typed ? problemOf(dataset.value) : undefined;
    if (problem !== undefined) {
      addIssue({ message: problem });
    }
  });
}

/** What an element of `attributes` or `timeseries` holds, but for its function code. */
export const readFields = {
  tag,
  type: required(v.string(), {
    doc: "`16int`, `16uint`, `32int`, `32uint`, `32float`, `64int`, `64uint`, `64float`, `16float`, `8int`, `8uint`, `string`, `bytes`, `bits`; `int`, `uint`, `float` take their size from `objectsCount`.",
  }),
  address: required(addressOrRange, {
    doc: 'Address from 0, or a range `"10-20"` from the first to the last value.',
  }),
  objectsCount,
  ...reading,
  ...bits,
  reportStrategy: optional(reportStrategy, { doc: "When this key goes up." }),
} as const;

/** An element of `attributes` or `timeseries`. */
export const readItem = v.pipe(
  v.looseObject({
    ...readFields,
    functionCode: required(readCode, {
      doc: "1 coils, 2 discrete inputs, 3 holding registers, 4 input registers.",
    }),
    maxRegistersPerRequest: optional(wholeNumber(1, 125), {
      doc: "Ranges: most registers of one request. Default: what the device can.",
    }),
    scale: optional(v.unknown(), { doc: "Use `multiplier`.", ignored: true }),
    byteOrder: optional(v.unknown(), { doc: "Set it for the device.", ignored: true }),
    wordOrder: optional(v.unknown(), { doc: "Set it for the device.", ignored: true }),
  }),
  checked((item) => readProblem(item)),
);

/** An element of `attributes` or `timeseries` as the connector gets it. */
export type ReadItemConfig = v.InferOutput<typeof readItem>;

const address = required(wholeNumber(0, 65_535), { doc: "Address from 0." });
const type = optional(v.string(), {
  doc: "As for reading, and `coil`, `coils`, `word`, `dword`, `unsigned`. Default: the tag.",
});

/** What an element of `attributeUpdates` holds, but for its function code. */
export const updateFields = {
  tag: required(v.pipe(v.string(), v.nonEmpty("must not be empty")), {
    doc: "Name of the shared attribute.",
  }),
  type,
  address,
  objectsCount,
  ...bits,
} as const;

/** An element of `attributeUpdates`. */
export const updateItem = v.pipe(
  v.looseObject({
    ...updateFields,
    functionCode: required(functionCode, {
      doc: "5 one coil, 6 one register, 15 coils, 16 registers.",
    }),
    timeout: optional(wholeNumber(1, 600_000), {
      doc: "Longest time until the value is written. Default 5000.",
      unit: "ms",
    }),
    value: optional(v.unknown(), { doc: "Without effect.", ignored: true }),
  }),
  checked((item) => writeProblem(item)),
);

/** An element of `attributeUpdates` as the connector gets it. */
export type UpdateItemConfig = v.InferOutput<typeof updateItem>;

/** What an element of `rpc` holds, but for its function code. */
export const rpcFields = {
  tag: required(v.pipe(v.string(), v.nonEmpty("must not be empty")), {
    doc: "Name of the method.",
  }),
  type,
  address,
  objectsCount,
  ...reading,
  ...bits,
} as const;

/** An element of `rpc`. */
export const rpcItem = v.pipe(
  v.looseObject({
    ...rpcFields,
    functionCode: required(functionCode, {
      doc: "1 to 4 read and ignore `params`; 5, 6, 15, 16 write them.",
    }),
    value: optional(v.unknown(), { doc: "Without effect.", ignored: true }),
  }),
  checked((item) => (item.functionCode <= 4 ? readProblem(item) : writeProblem(item))),
);

/** An element of `rpc` as the connector gets it. */
export type RpcItemConfig = v.InferOutput<typeof rpcItem>;
