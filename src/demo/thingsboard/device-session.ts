import type { Device } from "./model.ts";
import type { Sender } from "./rate-limit.ts";

/** A call from the platform to a device. */
export interface RpcCall {
  readonly device: Device;
  /** Counted per device from 0. */
  readonly id: number;
  readonly method: string;
  /** JSON text of the parameters, as the caller wrote it. */
  readonly params: string;
  readonly isOneWay: boolean;
  /** Kept over a restart of the server and until the device acknowledged it. */
  readonly isPersistent: boolean;
  /** TIMEOUT: the device did not acknowledge the packet in time; a reply still counts. */
  status: "QUEUED" | "SENT" | "DELIVERED" | "TIMEOUT";
}

/** The one live session of a device: its own connection, or a child inside the connection of a gateway. */
export interface DeviceSession {
  readonly device: Device;
  /** Whose rate limits it spends. */
  readonly sender: Sender;
  /** The name it speaks under: a child keeps the one it was opened with, also after a rename. */
  readonly boundName: string;
  readonly isAttributesSubscribed: boolean;
  readonly isRpcSubscribed: boolean;
  /** Sends changed shared attributes; `data` is the JSON text of `{"key":value}` or `{"deleted":["key"]}`. */
  sendAttributes(data: string): void;
  /** Sends a call. True when its acknowledgement is awaited, false when writing it is all there is. */
  sendRpc(call: RpcCall): boolean;
  /** Ends the session: a connection is closed with the MQTT 5 reason `code`, a child goes without a word. */
  evict(code: number): void;
}
