import type { ConnectorStatus, DeviceStatus, GatewayStatus } from "../service/status.ts";

/** Where the pages get what they show. */
export interface WebSources {
  /** Epoch milliseconds. */
  now(): number;
  /** "starting": the store is being opened; nothing else can be said yet. */
  stage(): "starting" | "running" | "stopping";
  /** The state of everything; the delivery thread is waited for `waitMs` at most. @throws TransientError while there is none */
  status(waitMs: number): Promise<GatewayStatus>;
  connectors(): readonly ConnectorStatus[];
  /** Devices in trouble first, `limit` at most. */
  devices(limit: number): { readonly devices: readonly DeviceStatus[]; readonly omitted: number };
}
