import type { ConnectorSpec } from "#sdk/connector";
import type { DownlinkSpec, UplinkSpec } from "#sdk/converter";
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
  serial: () => import("../../connectors/custom/custom-serial-connector.ts"),
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
  serial: {
    SerialUplinkConverter: () => import("../../connectors/custom/serial-uplink-converter.ts"),
  },
};

/** A downlink converter of any configuration schema and any entry. */
export type DownlinkDefinition = DownlinkSpec<StandardSchema, never> & Tag<"downlink">;

/** The downlink converters inside the program, in the same way. */
export const downlinkConverters: Readonly<
  Record<string, Readonly<Record<string, () => Promise<{ readonly default: DownlinkDefinition }>>>>
> = {
  serial: {
    SerialDownlinkConverter: () => import("../../connectors/custom/serial-downlink-converter.ts"),
  },
};
