import type * as v from "valibot";
import type { ConnectorTypes } from "./connectors.ts";
import { deviceFilter } from "./device-filter.ts";
import { connectorRoot, gatewayConfig } from "./gateway.ts";
import { logsConfig } from "./logs.ts";
import { isSchema } from "./references.ts";
import { statisticsCommands } from "./statistics.ts";

/** A kind of configuration file. */
export interface FileKind {
  /** `gateway`, `statistics`, `filter`, `logs`, `connector` for what all connector files share, or a connector type. */
  readonly name: string;
  /** One line about the file. */
  readonly title: string;
  readonly schema: v.GenericSchema;
}

/** Every configuration file this program reads; the connectors' in the order of the registry. */
export async function fileKinds(connectorTypes: ConnectorTypes): Promise<readonly FileKind[]> {
  const kinds: FileKind[] = [
    { name: "gateway", title: "tb_gateway.json, the main file", schema: gatewayConfig },
    {
      name: "statistics",
      title: "Commands of the custom statistics",
      schema: statisticsCommands,
    },
    { name: "filter", title: "Device filter", schema: deviceFilter },
    { name: "logs", title: "logs.json, the loggers", schema: logsConfig },
    { name: "connector", title: "Keys of every connector file", schema: connectorRoot },
  ];
  for (const [type, load] of Object.entries(connectorTypes)) {
    const { schema } = (await load()).default;
    if (isSchema(schema)) {
      kinds.push({ name: type, title: `Connector file of type "${type}"`, schema });
    }
  }
  return kinds;
}
