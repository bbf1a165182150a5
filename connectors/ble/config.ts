import * as v from "valibot";
import { entries, field, optional } from "#sdk/config";
import { connectorFields } from "#sdk/connector-fields";
import { adapter } from "./adapter-place.ts";
import { device } from "./device-config.ts";

const windowMs = v.pipe(v.number(), v.integer(), v.minValue(100), v.maxValue(86_400_000));

const scanner = v.looseObject({
  timeout: field(windowMs, 10_000, { doc: "How long to look around for it.", unit: "ms" }),
  deviceName: optional(v.string(), { doc: "List only peripherals of exactly this name." }),
});

/** The connector file of a BLE connector. */
export const bleConfig = v.looseObject({
  ...connectorFields,
  adapter: field(adapter, "hci0", {
    doc: "The Bluetooth adapter: `hci0`, `tcp:host:port` or `serial:/dev/ttyS1@115200` (H4 in both).",
    wizard: "Bluetooth adapter?",
  }),
  scanMode: field(v.picklist(["active", "passive"]), "active", {
    doc: "`passive` only listens; then names and other scan responses may be missing.",
  }),
  scannerTimeout: field(windowMs, 10_000, { doc: "Length of a scan.", unit: "ms" }),
  scannerPollPeriod: field(windowMs, 5000, {
    doc: "Time from one start of scanning to the next; shorter than `scannerTimeout`: without a pause.",
    unit: "ms",
  }),
  maxConnections: field(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64)), 5, {
    doc: "Connections at the same time. With more devices, those that are read at most every 10 s and have no notifications take turns.",
  }),
  showMap: field(v.boolean(), false, {
    doc: "List the peripherals around in the log once, after the start.",
  }),
  scanner: field(scanner, {}, { doc: "For `showMap`." }),
  rescanIntervalSeconds: optional(v.unknown(), {
    doc: "Older name of `scannerPollPeriod`, in seconds; read when that is missing.",
  }),
  scanTimeSeconds: optional(v.unknown(), {
    doc: "Older name of `scannerTimeout`, in seconds; read when that is missing.",
  }),
  checkIntervalSeconds: optional(v.unknown(), {
    doc: "Older name of `devices[].pollPeriod`, in seconds; read when that is missing.",
  }),
  passiveScanMode: optional(v.boolean(), { doc: "See `scanMode`.", ignored: true }),
  devices: field(entries(device), [], { doc: "The peripherals." }),
});

/** The file as `create` gets it. */
export type BleConfig = v.InferOutput<typeof bleConfig>;
