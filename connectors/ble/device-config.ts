import * as v from "valibot";
import { entries, field, optional, required } from "#sdk/config";
import { reportStrategy } from "#sdk/report-strategy";
import { isAddress } from "./addresses.ts";
import { readItem, rpcItem, updateItem } from "./item-config.ts";

const MAX_MS = 2_147_483_647;
const whole = (min: number, max: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));
const seconds = v.pipe(v.number(), v.minValue(0), v.maxValue(86_400));

const address = v.pipe(
  v.string(),
  v.check(isAddress, "is no address of a peripheral: need a form like A4:C1:38:0B:5E:77"),
  v.toUpperCase(),
);

/** An element of `devices`: one peripheral, one device on the platform. */
export const device = v.looseObject({
  name: required(v.pipe(v.string(), v.nonEmpty("must not be empty"), v.maxLength(255)), {
    doc: "Name of the device on the platform.",
    wizard: "Name of the device?",
  }),
  MACAddress: required(address, {
    doc: "Address of the peripheral.",
    wizard: "Address of the peripheral (AA:BB:CC:DD:EE:FF)?",
    examples: ["A4:C1:38:0B:5E:77"],
  }),
  deviceType: field(v.string(), "default", { doc: "Device profile." }),
  type: optional(v.string(), {
    doc: "How `valueExpression` is read: `bytes` gives text, `hex` a number. Default: `bytes` for characteristics, `hex` for advertisements.",
  }),
  extension: optional(v.string(), {
    doc: "Name of a converter extension that takes the bytes of every item instead.",
    converter: { kind: "uplink" },
  }),
  pollPeriod: field(whole(1, MAX_MS), 5000, {
    doc: "Time from one start of reading to the next; advertisements that say the same go up this often.",
    unit: "ms",
  }),
  timeout: field(whole(1, MAX_MS), 10_000, {
    doc: "Longest wait for a connection.",
    unit: "ms",
  }),
  connectRetry: field(whole(0, 1000), 5, {
    doc: "Attempts to connect before the pauses become longer.",
  }),
  connectRetryInSeconds: field(seconds, 0, {
    doc: "Pause between the first attempts; at least 1 s.",
    unit: "s",
  }),
  waitAfterConnectRetries: field(seconds, 0, {
    doc: "Longest pause between later attempts, which is doubled up to here; 0, and more than 20: 20 s.",
    unit: "s",
  }),
  showMap: field(v.boolean(), false, {
    doc: "Log services and characteristics after the first connection.",
  }),
  reportStrategy: optional(reportStrategy, { doc: "When values of this device go up." }),
  telemetry: field(entries(readItem), [], { doc: "What goes up as telemetry." }),
  attributes: field(entries(readItem), [], { doc: "What goes up as client-side attributes." }),
  attributeUpdates: field(entries(updateItem), [], {
    doc: "Shared attributes that are written to the device.",
  }),
  serverSideRpc: field(entries(rpcItem), [], { doc: "Methods of the device." }),
  sendDataOnlyOnChange: optional(v.unknown(), {
    doc: 'Older switch: `true` stands for `reportStrategy: {"type": "ON_CHANGE"}`.',
  }),
});

/** An element of `devices` as the connector gets it. */
export type DeviceConfig = v.InferOutput<typeof device>;
