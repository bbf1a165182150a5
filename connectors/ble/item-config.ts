import * as v from "valibot";
import { field, optional, required } from "#sdk/config";
import { DataError } from "#sdk/errors";
import { reportStrategy } from "#sdk/report-strategy";
import { normalUuid } from "./addresses.ts";
import { compileCompute } from "./codec.ts";
import { NUMBER_FORMAT_NAMES } from "./number-format.ts";
import { readHandle } from "./target.ts";

const name = v.pipe(v.string(), v.nonEmpty("must not be empty"));
const whole = (min: number, max: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));

/** Longest value of a characteristic (Core, Vol 3 Part F 3.2.9). */
const MAX_VALUE_BYTES = 512;

/** A UUID in any form and case, as the form in which two can be compared. */
export const uuid = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const normal = normalUuid(dataset.value);
    if (normal === undefined) {
      addIssue({
        message: `"${dataset.value}" is no UUID: need 2A19 or 00002a19-0000-1000-8000-00805f9b34fb`,
      });
      return NEVER;
    }
    return normal;
  }),
);

/** A handle as a number, or as the text that tools for Bluetooth print: `0x002a`. */
const handle = v.pipe(
  v.union([v.number(), v.string()]),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const number = readHandle(dataset.value);
    if (number === undefined) {
      const text = JSON.stringify(dataset.value);
      addIssue({ message: `${text} is no handle: need a number such as 42 or "0x002a"` });
      return NEVER;
    }
    return number;
  }),
);

/** Any text but `characteristic` means the advertisement. */
const source = v.pipe(
  v.string(),
  v.transform((text): "characteristic" | "advertisement" =>
    text === "characteristic" ? "characteristic" : "advertisement",
  ),
);

/** An element of `telemetry` or `attributes`. */
export const readItem = v.pipe(
  v.looseObject({
    key: required(name, { doc: "Key of the value on the platform." }),
    dataSourceType: field(source, "characteristic", {
      doc: "Where the value comes from: `characteristic`; with another text it is the advertisement.",
    }),
    method: optional(v.pipe(v.string(), v.toLowerCase(), v.picklist(["read", "notify"])), {
      doc: "Characteristics: `read` every `pollPeriod`, or `notify` (notifications and indications).",
    }),
    characteristicUUID: optional(uuid, {
      doc: "The characteristic; 128 bit or 16 bit, in any case.",
    }),
    handle: optional(handle, {
      doc: 'The characteristic where several have one UUID: `42` or `"0x002a"`, as `showMap` and `tbgw probe ble` say.',
    }),
    valueExpression: optional(v.string(), {
      doc: "The bytes of the value: `[0]`, `[0:2]`, `[2:]`; see below.",
    }),
    compute: optional(v.string(), {
      doc: "A calculation with `value`, for numbers: `value / 10`.",
    }),
    format: optional(v.picklist([...NUMBER_FORMAT_NAMES, "utf8", "hex", "bool"]), {
      doc: "How the value lies in the bytes, instead of `valueExpression`: `int16le`, `utf8`, …; the value is a number, text or boolean.",
    }),
    offset: field(whole(0, MAX_VALUE_BYTES), 0, { doc: "With `format`: the first byte." }),
    length: optional(whole(1, MAX_VALUE_BYTES), {
      doc: "With `format` utf8 or hex: number of bytes. Default: all that follow.",
    }),
    bit: optional(whole(0, 7), {
      doc: "With `format` bool: the bit. Default: whether the byte is not 0.",
    }),
    advField: field(
      v.picklist(["manufacturer", "service", "rssi", "txPower", "name"]),
      "manufacturer",
      { doc: "Advertisements: the part that holds the value." },
    ),
    companyId: optional(whole(0, 0xffff), {
      doc: "Advertisements: only manufacturer data of this company.",
    }),
    serviceUUID: optional(uuid, { doc: "Advertisements: only data of this service." }),
    reportStrategy: optional(reportStrategy, { doc: "When this key goes up." }),
    byteFrom: optional(v.pipe(v.number(), v.integer()), {
      doc: "Older files: first byte of a text, where there is no `valueExpression`.",
    }),
    byteTo: optional(v.pipe(v.number(), v.integer()), {
      doc: "Older files: the byte after its last; -1: to the end.",
    }),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    const problem = dataset.typed ? itemProblem(dataset.value) : undefined;
    if (problem !== undefined) {
      addIssue({ message: problem });
    }
  }),
);

function itemProblem(item: {
  readonly dataSourceType: "characteristic" | "advertisement";
  readonly method?: string | undefined;
  readonly characteristicUUID?: string | undefined;
  readonly handle?: number | undefined;
  readonly valueExpression?: string | undefined;
  readonly format?: string | undefined;
  readonly byteFrom?: number | undefined;
  readonly advField: string;
  readonly compute?: string | undefined;
}): string | undefined {
  const calculation = item.compute === undefined ? undefined : computeProblem(item.compute);
  if (calculation !== undefined) {
    return calculation;
  }
  if (item.dataSourceType === "characteristic") {
    if (isUnnamed(item)) {
      return '"characteristicUUID" is missing; for a value of the advertisement set "dataSourceType": "advertisement"';
    }
    if (item.method === undefined) {
      return '"method" is missing: need "read" or "notify"';
    }
  }
  const isWhole =
    item.dataSourceType === "advertisement" && ["rssi", "txPower", "name"].includes(item.advField);
  const hasValue =
    item.valueExpression !== undefined || item.format !== undefined || item.byteFrom !== undefined;
  return hasValue || isWhole ? undefined : '"valueExpression" is missing; or set "format"';
}

/** Whether no characteristic is named. */
function isUnnamed(item: {
  readonly characteristicUUID?: string | undefined;
  readonly handle?: number | undefined;
}): boolean {
  return item.characteristicUUID === undefined && item.handle === undefined;
}

/** Of the whole item: without its calculation it would send another value. */
function computeProblem(compute: string): string | undefined {
  try {
    compileCompute(compute);
    return undefined;
  } catch (error) {
    if (error instanceof DataError) {
      return error.message;
    }
    throw error;
  }
}

/** An element of `attributeUpdates`. */
export const updateItem = v.pipe(
  v.looseObject({
    attributeOnThingsBoard: required(name, { doc: "Name of the shared attribute." }),
    characteristicUUID: optional(uuid, { doc: "The characteristic its value is written to." }),
    handle: optional(handle, { doc: "The same by its handle, where several have one UUID." }),
    encoding: field(v.picklist(["utf8", "hex", ...NUMBER_FORMAT_NAMES]), "utf8", {
      doc: 'How the value becomes bytes: its text, the bytes of a hex text (`"0A01"`), or a number.',
    }),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (dataset.typed && isUnnamed(dataset.value)) {
      addIssue({ message: '"characteristicUUID" is missing' });
    }
  }),
);

/** An element of `serverSideRpc`. */
export const rpcItem = v.pipe(
  v.looseObject({
    methodRPC: required(name, { doc: "Name of the method." }),
    methodProcessing: required(
      v.pipe(v.string(), v.toLowerCase(), v.picklist(["read", "write", "scan"])),
      { doc: "`read` or `write` a characteristic, or `scan`: the GATT map." },
    ),
    characteristicUUID: optional(uuid, { doc: "The characteristic, for `read` and `write`." }),
    handle: optional(handle, { doc: "The same by its handle, where several have one UUID." }),
    withResponse: field(v.boolean(), true, {
      doc: "Reply with the result; `false`: the reply is `null`, the GATT map goes to the log.",
    }),
    encoding: field(v.picklist(["utf8", "hex", ...NUMBER_FORMAT_NAMES]), "utf8", {
      doc: "With `write`: how `params` become bytes.",
    }),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (dataset.typed && dataset.value.methodProcessing !== "scan" && isUnnamed(dataset.value)) {
      addIssue({ message: '"characteristicUUID" is missing' });
    }
  }),
);

/** What is read, as the connector gets it. */
export type ReadItem = v.InferOutput<typeof readItem>;
/** A shared attribute that is written, as the connector gets it. */
export type UpdateItem = v.InferOutput<typeof updateItem>;
/** A method, as the connector gets it. */
export type RpcItem = v.InferOutput<typeof rpcItem>;
