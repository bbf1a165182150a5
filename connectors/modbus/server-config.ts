import * as v from "valibot";
import { entries, field, optional } from "#sdk/config";
import { reportStrategy } from "#sdk/report-strategy";
import {
  checked,
  functionCode,
  json,
  readFields,
  rpcFields,
  updateFields,
  wholeNumber,
} from "./item-config.ts";
import { lineFields, lineProblem, order, serverSecurity } from "./line-config.ts";
import { readProblem, writeProblem } from "./problems.ts";

const value = optional(json, { doc: "Value at the start. Default: 0." });
const code = optional(functionCode, {
  doc: "Default: the one that suits the table and the size of the value.",
});

type Section = "coils" | "registers";

/** One of the four tables. A read has a fixed function code in each. */
function table(section: Section, readable: 1 | 2 | 3 | 4) {
  const write = section === "coils" ? 15 : 16;
  const read = v.pipe(
    v.looseObject({ ...readFields, functionCode: code, value }),
    checked((item) => readProblem({ ...item, functionCode: readable })),
  );
  const update = v.pipe(
    v.looseObject({ ...updateFields, functionCode: code, value }),
    checked((item) => writeProblem({ ...item, functionCode: write })),
  );
  const method = v.pipe(
    v.looseObject({ ...rpcFields, functionCode: code, value }),
    checked((item) =>
      (item.functionCode ?? write) <= 4
        ? readProblem({ ...item, functionCode: readable })
        : writeProblem({ ...item, functionCode: write }),
    ),
  );
  return v.looseObject({
    attributes: field(entries(read), [], { doc: "Places that are also client-side attributes." }),
    timeseries: field(entries(read), [], { doc: "Places that are also telemetry." }),
    attributeUpdates: field(entries(update), [], {
      doc: "Places that shared attributes are written to.",
    }),
    rpc: field(entries(method), [], { doc: "Methods that read or write a place." }),
  });
}

const tables = v.looseObject({
  holding_registers: optional(table("registers", 3), {
    doc: "Registers that masters read and write.",
  }),
  input_registers: optional(table("registers", 4), { doc: "Registers that masters read." }),
  coils_initializer: optional(table("coils", 1), { doc: "Coils that masters read and write." }),
  discrete_inputs: optional(table("coils", 2), { doc: "Inputs that masters read." }),
});

/** The tables of the server as the connector gets them. */
export type TablesConfig = v.InferOutput<typeof tables>;

const identity = v.looseObject({
  vendorName: field(v.string(), "", { doc: "Object 0 of the device identification." }),
  productCode: field(v.string(), "", { doc: "Object 1." }),
  majorMinorRevision: field(v.string(), "1.0", { doc: "Object 2." }),
  vendorUrl: field(v.string(), "", { doc: "Object 3." }),
  productName: field(v.string(), "", { doc: "Object 4." }),
  ModelName: optional(v.string(), { doc: "Object 5." }),
  modelName: optional(v.string(), { doc: "Another spelling of `ModelName`." }),
});

/** `slave`: the gateway's own Modbus server. */
export const serverConfig = v.pipe(
  v.looseObject({
    enabled: field(v.boolean(), true, { doc: "Whether the server runs." }),
    ...lineFields,
    host: field(v.pipe(v.string(), v.trim()), "0.0.0.0", {
      doc: "tcp and udp: address to listen on.",
      reference: true,
    }),
    unitId: field(wholeNumber(0, 255), 1, {
      doc: "On a serial line the server answers this unit id only; over TCP and UDP every one.",
    }),
    deviceName: field(v.string(), "Modbus Slave", { doc: "Name of the device on the platform." }),
    deviceType: field(v.string(), "default", { doc: "Device profile." }),
    pollPeriod: field(wholeNumber(1, 2_147_483_647), 5000, {
      doc: "How often all values are reported; what a master writes is reported at once.",
      unit: "ms",
    }),
    sendDataToThingsBoard: field(v.boolean(), false, {
      doc: "Report what the tables hold as a device.",
    }),
    byteOrder: field(order, "LITTLE", { doc: "Order of the bytes of a register: BIG or LITTLE." }),
    wordOrder: field(order, "LITTLE", { doc: "Order of the registers of a value: BIG or LITTLE." }),
    repack: field(v.boolean(), false, {
      doc: "Writing with little byte order: swap the bytes of each register once more.",
    }),
    reportStrategy: optional(reportStrategy, { doc: "When values of this device go up." }),
    identity: optional(identity, { doc: "Answer to a request for the device identification." }),
    security: optional(serverSecurity, { doc: "TLS; its presence switches it on." }),
    values: field(tables, {}, { doc: "What the tables hold." }),
  }),
  checked((config) => lineProblem(config, config.security !== undefined)),
);

/** `slave` as the connector gets it. */
export type ServerConfig = v.InferOutput<typeof serverConfig>;
