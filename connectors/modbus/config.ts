import * as v from "valibot";
import { entries, field, optional } from "#sdk/config";
import { reportStrategy } from "#sdk/report-strategy";
import { serverConfig } from "./server-config.ts";
import { slave } from "./slave-config.ts";

const master = v.looseObject({
  slaves: field(entries(slave), [], { doc: "The devices that are read and written." }),
});

/** The connector file of a Modbus connector. */
export const modbusConfig = v.looseObject({
  name: optional(v.string(), { doc: "Given by the entry in `tb_gateway.json`." }),
  id: optional(v.string(), { doc: "Identifies the connector. Default: made from type and name." }),
  logLevel: field(v.string(), "INFO", { doc: "Least important lines to log." }),
  enableRemoteLogging: field(v.boolean(), false, { doc: "Send the log to the platform." }),
  configVersion: optional(v.unknown(), { doc: "Written by the platform.", ignored: true }),
  reportStrategy: optional(reportStrategy, { doc: "When values of this connector go up." }),
  master: field(master, {}, { doc: "The gateway as the master: devices it reads and writes." }),
  slave: optional(serverConfig, {
    doc: "The gateway as a server of its own, which other masters read and write.",
  }),
});

/** The file as `create` gets it. */
export type ModbusConfig = v.InferOutput<typeof modbusConfig>;
