import type { NodeId } from "node-opcua-client";
import type { OpcUaRead, UplinkConverter } from "#sdk/converter";
import type { ReportStrategy } from "#sdk/model";
import type { Mapping, Stamp } from "./mappings.ts";

/** A device that was found on the server. It outlives the session; its base node may change with each scan. */
export interface Device {
  readonly name: string;
  readonly profile: string;
  readonly mapping: Mapping;
  readonly converter: UplinkConverter<OpcUaRead> | undefined;
  /** Of the keys that have one of their own; filled as the keys get known. */
  keyStrategies: Record<string, ReportStrategy> | undefined;
  base: NodeId;
  baseKey: string;
}

/** Where the value of a node goes. */
export interface Target {
  readonly device: Device;
  readonly key: string;
  readonly section: "attributes" | "telemetry";
  readonly stamp: Stamp;
  /** Its last value was bad: said once. */
  isBad: boolean;
}

/** A node whose value is wanted, and for whom. */
export interface Item {
  readonly id: NodeId;
  readonly key: string;
  readonly targets: Target[];
  /** The server says that it does not know this node any more. */
  isGone: boolean;
}
