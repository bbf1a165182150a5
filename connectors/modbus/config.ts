import * as v from "valibot";
import { entries, field, optional } from "#sdk/config";
import { connectorFields } from "#sdk/connector-fields";
import { serverConfig } from "./server-config.ts";
import { slave } from "./slave-config.ts";

const master = v.looseObject({
  slaves: field(entries(slave), [], { doc: "The devices that are read and written." }),
});

/** The connector file of a Modbus connector. */
export const modbusConfig = v.looseObject({
  ...connectorFields,
  master: field(master, {}, { doc: "The gateway as the master: devices it reads and writes." }),
  slave: optional(serverConfig, {
    doc: "The gateway as a server of its own, which other masters read and write.",
  }),
});

/** The file as `create` gets it. */
export type ModbusConfig = v.InferOutput<typeof modbusConfig>;
