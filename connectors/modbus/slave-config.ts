import * as v from "valibot";
import { entries, field, optional, required } from "#sdk/config";
import { reportStrategy } from "#sdk/report-strategy";
import { anyNumber, readItem, rpcItem, updateItem, wholeNumber } from "./item-config.ts";
import { clientSecurity, lineFields, lineProblem, order } from "./line-config.ts";

const retries = v.pipe(
  v.union([v.boolean(), wholeNumber(0, 100)]),
  v.transform((value): number => (typeof value === "number" ? value : value ? 3 : 0)),
);

const readOptimization = v.pipe(
  v.union([
    v.boolean(),
    v.looseObject({
      enabled: field(v.boolean(), true, { doc: "Read several items with one request." }),
      maxRegisters: field(wholeNumber(1, 125), 125, { doc: "Most registers of one request." }),
      maxBits: field(wholeNumber(1, 2000), 2000, { doc: "Most coils of one request." }),
      maxGapRegisters: field(wholeNumber(0, 125), 8, {
        doc: "Registers nobody asked for that are read along to save a request.",
      }),
      maxGapBits: field(wholeNumber(0, 2000), 64, { doc: "The same for coils." }),
    }),
  ]),
  v.transform((value) =>
    typeof value === "boolean"
      ? { enabled: value, maxRegisters: 125, maxBits: 2000, maxGapRegisters: 8, maxGapBits: 64 }
      : value,
  ),
);

/** Names of the Python gateway's own converters: they stand for what this connector does by itself. */
export const OWN_CONVERTERS = /^(BytesModbus(Up|Down)linkConverter|)$/i;

const period = v.pipe(anyNumber, v.minValue(1), v.maxValue(2_147_483_647));
const ignored = (doc: string) => optional(v.unknown(), { doc, ignored: true });

/** An element of `master.slaves`: one device on the platform. */
export const slave = v.pipe(
  v.looseObject({
    deviceName: required(v.pipe(v.string(), v.nonEmpty("must not be empty"), v.maxLength(255)), {
      doc: "Name of the device on the platform.",
      wizard: "Name of the device?",
    }),
    deviceType: field(v.string(), "default", { doc: "Device profile." }),
    unitId: required(wholeNumber(0, 255), {
      doc: "Unit identifier. 0 is a broadcast on a serial line: it can only be written.",
      wizard: "Unit id?",
    }),
    pollPeriod: field(period, 5000, {
      doc: "Time from one start of reading to the next.",
      unit: "ms",
    }),
    attributesPollPeriod: optional(period, {
      doc: "The same for `attributes`. Default: `pollPeriod`.",
      unit: "ms",
    }),
    ...lineFields,
    timeout: field(v.pipe(anyNumber, v.minValue(0.01), v.maxValue(3600)), 30, {
      doc: "Longest wait for a connection and for an answer. Where several devices share a line, less is waited once it is known how fast they answer.",
      unit: "s",
    }),
    responseTimeoutMs: optional(wholeNumber(1, 600_000), {
      doc: "Wait exactly this long for an answer of this device.",
      unit: "ms",
    }),
    retries: field(retries, 3, {
      doc: "Repeats of a read without an answer; `true` is 3, `false` is 0.",
    }),
    retryWrites: field(v.boolean(), false, {
      doc: "Repeat writes without an answer too. The first one may have been carried out.",
    }),
    byteOrder: field(order, "LITTLE", { doc: "Order of the bytes of a register: BIG or LITTLE." }),
    wordOrder: field(order, "LITTLE", { doc: "Order of the registers of a value: BIG or LITTLE." }),
    repack: field(v.boolean(), false, {
      doc: "Writing with little byte order: swap the bytes of each register once more.",
    }),
    delayBetweenRequestsMs: field(wholeNumber(0, 60_000), 0, {
      doc: "Rest of the line before each request to this device.",
      unit: "ms",
    }),
    connectAttemptTimeMs: field(wholeNumber(0, 86_400_000), 500, {
      doc: "First pause between two attempts to connect; it is doubled each time, to at most 20 s.",
      unit: "ms",
    }),
    connectAttemptCount: field(wholeNumber(1, 1000), 2, {
      doc: "Failed cycles or attempts to connect after which a device counts as disconnected; at least 2.",
    }),
    waitAfterFailedAttemptsMs: field(wholeNumber(0, 86_400_000), 30_000, {
      doc: "Longest pause between two attempts to connect; 20 s at most.",
      unit: "ms",
    }),
    maxInFlight: field(wholeNumber(1, 16), 1, {
      doc: "tcp with `socket`: requests that may be on their way at the same time, for servers that can.",
    }),
    readOptimization: field(readOptimization, true, {
      doc: "Read neighbouring registers together; `false`: one request for each item, for registers that are cleared by reading.",
    }),
    reportStrategy: optional(reportStrategy, { doc: "When values of this device go up." }),
    attributes: field(entries(readItem), [], { doc: "What is read as client-side attributes." }),
    timeseries: field(entries(readItem), [], { doc: "What is read as telemetry." }),
    attributeUpdates: field(entries(updateItem), [], {
      doc: "Shared attributes that are written to the device.",
    }),
    rpc: field(entries(rpcItem), [], { doc: "Methods of the device." }),
    tls: optional(clientSecurity, { doc: "TLS; its presence switches it on." }),
    security: optional(clientSecurity, { doc: "Another name of `tls`." }),
    uplink_converter: optional(v.string(), {
      doc: "An extension that converts what is read.",
      converter: { kind: "uplink", own: OWN_CONVERTERS },
    }),
    downlink_converter: optional(v.string(), {
      doc: "An extension that converts what is written.",
      converter: { kind: "downlink", own: OWN_CONVERTERS },
    }),
    retryOnEmpty: ignored("Without effect."),
    retryOnInvalid: ignored("Without effect."),
    sendDataOnlyOnChange: optional(v.unknown(), {
      doc: 'Older switch: `true` stands for `reportStrategy: {"type": "ON_CHANGE"}`.',
    }),
    strict: ignored("Without effect."),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) {
      return;
    }
    const { value } = dataset;
    const problem = lineProblem(value, value.tls !== undefined || value.security !== undefined);
    const reads = value.attributes.length + value.timeseries.length > 0;
    if (problem !== undefined) {
      addIssue({ message: problem });
    } else if (value.type === "serial" && value.unitId === 0 && reads) {
      addIssue({
        message: "unitId 0 is a broadcast on a serial line: nothing can be read from it",
      });
    }
  }),
);

/** An element of `master.slaves` as the connector gets it. */
export type SlaveConfig = v.InferOutput<typeof slave>;
