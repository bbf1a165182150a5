import type { ConnectorSpec } from "#sdk/connector";
import type { UplinkSpec } from "#sdk/converter";
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
  ble: () => import("../../connectors/ble/connector.ts"),
  modbus: () => import("../../connectors/modbus/connector.ts"),
  mqtt: () => import("../../connectors/mqtt/connector.ts"),
  opcua: () => import("../../connectors/opcua/connector.ts"),
};

/** An uplink converter of any configuration schema and any input. */
export type UplinkDefinition = UplinkSpec<StandardSchema, string, "bytes" | "decoded", never> &
  Tag<"uplink">;

/** The uplink converters inside the program: by the type of the connector that uses them, then by name. Loaded when first used. */
export const uplinkConverters: Readonly<
  Record<string, Readonly<Record<string, () => Promise<{ readonly default: UplinkDefinition }>>>>
> = {
  mqtt: {
    CustomMqttUplinkConverter: () =>
      import("../../connectors/custom/custom-mqtt-uplink-converter.ts"),
  },
};
