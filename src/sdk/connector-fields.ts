import * as v from "valibot";
import { field, optional } from "./config.ts";
import { reportStrategy } from "./report-strategy.ts";

/** What every connector file may say about the connector itself. */
export const connectorFields = {
  name: optional(v.string(), { doc: "Given by the entry in `tb_gateway.json`." }),
  id: optional(v.string(), { doc: "Identifies the connector. Default: made from type and name." }),
  logLevel: field(v.string(), "INFO", { doc: "Least important lines to log." }),
  enableRemoteLogging: field(v.boolean(), false, { doc: "Send the log to the platform." }),
  configVersion: optional(v.unknown(), { doc: "Written by the platform.", ignored: true }),
  reportStrategy: optional(reportStrategy, { doc: "When values of this connector go up." }),
} as const;
