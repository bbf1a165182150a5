import type { ConnectorSpec } from "#sdk/connector";
import type { StandardSchema, Tag } from "#sdk/standard-schema";

/** A connector definition of any configuration schema. */
export type ConnectorDefinition = ConnectorSpec<StandardSchema> & Tag<"connector">;

/**
 * The connectors inside the program, by the `type` of their entry in `tb_gateway.json`. Loaded when first used: a protocol
 * that no entry names costs no memory and no start time.
 */
export const connectorTypes: Readonly<
  Record<string, () => Promise<{ readonly default: ConnectorDefinition }>>
> = {
  mqtt: () => import("../../connectors/mqtt/connector.ts"),
};
