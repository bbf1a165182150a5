import type { ConnectorStatus, DeviceStatus, GatewayStatus } from "./status.ts";

/** Name of the socket in the data directory; only the user who runs the gateway can open it. */
export const SOCKET_NAME = "tbgw.sock";

/** Longest request, in bytes: one line of JSON. */
export const MAX_REQUEST_BYTES = 16_384;

/** One line of JSON each way. A request is answered on the same connection, in order. */
export type StatusRequest =
  /** `devices`: how many of them are listed, at most. */
  | { readonly get: "status"; readonly devices: number }
  | { readonly get: "connector"; readonly name: string }
  /** Answered with an `ExtensionsReport`. */
  | { readonly get: "extensions" };

/** Everything that `tbgw status` shows. */
export interface StatusReport extends GatewayStatus {
  readonly deviceList: readonly DeviceStatus[];
  /** Devices that are not in the list. */
  readonly devicesOmitted: number;
}

/** One connector with its configuration; secrets are replaced in it. */
export interface ConnectorReport extends ConnectorStatus {
  readonly configuration: unknown;
}

/** The answer to a request. */
export type StatusAnswer<T> =
  | { readonly ok: true; readonly result: T }
  | { readonly ok: false; readonly error: string };
