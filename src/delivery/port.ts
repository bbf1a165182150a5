import type { CollectedCounts } from "#sdk/ledger";
import type { LogLevel, LogRecord } from "#sdk/logger";
import type { LeftBehind } from "../config/storage.ts";
import type { StorageSettings, StoreStats } from "../storage/event-store.ts";
import type { SessionSettings } from "../thingsboard/settings.ts";
import type { HeartbeatMemory } from "./heartbeat.ts";

/** Most batches on their way to the store at one time: the credit of the collection thread. */
export const MAX_BATCHES_IN_FLIGHT = 8;
/** Most bytes of batches on their way. A single larger batch travels alone. */
export const MAX_BYTES_IN_FLIGHT = 4 * 1024 * 1024;

/** What the delivery thread is started with; the first message it gets. */
export interface OpenRequest {
  readonly type: "open";
  readonly dataDir: string;
  readonly storage: StorageSettings;
  /** Where a Python gateway may have left records; they are taken over before anything else is stored. */
  readonly leftBehind?: LeftBehind | undefined;
  /** `undefined`: only the store is opened. */
  readonly session: SessionSettings | undefined;
  /** Devices that are known already, so that nothing is sent under a name that the platform has replaced. */
  readonly devices?: readonly KnownDevice[] | undefined;
  readonly logLevel: LogLevel;
  /** Shows the delivery thread that the collection thread is alive. */
  readonly heartbeat: HeartbeatMemory;
}

/** A batch for the store (`sdk/batch`). Answered by one `appended` with the same `id`. */
export interface AppendRequest {
  readonly type: "append";
  readonly id: number;
  readonly batch: Uint8Array<ArrayBuffer>;
  readonly records: number;
  readonly values: number;
  readonly urgent: boolean;
  readonly collected: CollectedCounts;
}

/** A device that is there (announced to the platform, also after a reconnect), or that is gone. */
export interface KnownDevice {
  /** Local name, the one of its records. */
  readonly deviceName: string;
  readonly deviceType: string;
  readonly connected: boolean;
  /** The name it has on the platform from here on, records stored before included. */
  readonly platformName: string;
}

/** Something about a device has changed. */
export interface DeviceRequest extends KnownDevice {
  readonly type: "device";
}

/** A message for the platform that is not kept: sent if the link is up at this moment. Answered by one `done`. */
export interface PublishRequest {
  readonly type: "publish";
  readonly id: number;
  readonly topic: string;
  readonly payload: string;
  /** Milliseconds after which it is not sent any more. */
  readonly withinMs?: number | undefined;
  /** Refused at once unless it can go without anybody else having to wait for it. */
  readonly background?: boolean;
}

/** Takes over from which level on the thread logs. */
export interface LogLevelRequest {
  readonly type: "log-level";
  readonly level: LogLevel;
}

/**
 * Deliver over another session once it has proven itself by a CONNACK and the PUBACK of `proof`; the old one goes on otherwise.
 * "parallel": both at a time. "replace": the old one stops first, because it is the same device at the same server. Answered by one `done`.
 */
export interface SwapRequest {
  readonly type: "swap";
  readonly id: number;
  readonly session: SessionSettings;
  readonly mode: "replace" | "parallel";
  readonly proof: { readonly topic: string; readonly payload: string };
  readonly deadlineMs: number;
}

/** Keep records as `storage` says from here on, those that wait included. Answered by one `done`. */
export interface StorageRequest {
  readonly type: "storage";
  readonly id: number;
  readonly storage: StorageSettings;
}

/** Asks for one `report` at once. */
export interface ReportRequest {
  readonly type: "report";
  readonly id: number;
}

/** Answers a `fence`: the messages of the platform before it have been handled, and the `device` messages that came of them are on their way. */
export interface PassedRequest {
  readonly type: "passed";
  readonly id: number;
}

/** Drain for at most `drainMs`, commit, disconnect, and answer `stopped`. */
export interface StopRequest {
  readonly type: "stop";
  readonly drainMs: number;
}

/** Collection → delivery. */
export type ToDelivery =
  | OpenRequest
  | AppendRequest
  | DeviceRequest
  | PublishRequest
  | SwapRequest
  | StorageRequest
  | LogLevelRequest
  | ReportRequest
  | PassedRequest
  | StopRequest;

/** An error as plain data; `name` is one of the SDK's error classes. */
export interface PortError {
  readonly name: string;
  readonly message: string;
  readonly reason?: string | undefined;
  /** The message it is about has certainly not left. */
  readonly isUnsent?: boolean;
}

/** The uplink as `tbgw status` shows it. */
export interface LinkState {
  /** "refused": bad credentials. "not-a-gateway": the device on the platform lacks the gateway flag. */
  readonly state:
    | "idle"
    | "connecting"
    | "connected"
    | "down"
    | "refused"
    | "not-a-gateway"
    | "stopped";
  /** In words: why it is so. */
  readonly detail: string | undefined;
  /** `host:port` in use or tried last. */
  readonly host: string | undefined;
  /** MQTT version of the connection. */
  readonly protocol: "5" | "3.1.1" | undefined;
  /** Epoch milliseconds of the next attempt to connect, while one is waited for. */
  readonly retryAt?: number | undefined;
  /** Largest payload of one publish in bytes; `undefined` before there is a session. */
  readonly payloadLimit?: number | undefined;
}

/** Values a second, over the last minute or since the thread was started. */
export interface Rates {
  readonly received: number;
  readonly stored: number;
  readonly acknowledged: number;
}

/** What the delivery thread knows about itself. */
export interface DeliveryReport {
  readonly store: StoreStats;
  readonly rates: Rates;
  readonly link: LinkState;
  readonly sender: SenderReport;
  /** How often delivery stood still and had to be renewed, since the start of the thread. */
  readonly watchdog: { readonly reconnects: number; readonly rebuilds: number };
}

/** Counters of the sender since the start of the thread, or since its session was built anew. */
export interface SenderReport {
  /** Records read from the store to be sent. */
  readonly recordsRead: number;
  readonly recordsAcknowledged: number;
  readonly telemetryValuesAcknowledged: number;
  readonly attributeRecordsAcknowledged: number;
  readonly publishes: number;
  /** Publishes without a PUBACK at this moment. */
  readonly inFlight: number;
  /** Bytes of MQTT packets published, payload and header. */
  readonly bytesSent: number;
  /** Publishes sent again. */
  readonly resends: number;
  /** Round trip to the PUBACK, smoothed; `undefined` before the first one. */
  readonly rttMs: number | undefined;
}

/** Delivery → collection. */
export type FromDelivery =
  | { readonly type: "opened" }
  | { readonly type: "failed"; readonly error: PortError }
  | { readonly type: "appended"; readonly id: number; readonly error: PortError | undefined }
  | { readonly type: "report"; readonly id: number | undefined; readonly report: DeliveryReport }
  | { readonly type: "announced"; readonly deviceName: string }
  | { readonly type: "done"; readonly id: number; readonly error: PortError | undefined }
  | { readonly type: "downlink"; readonly topic: string; readonly payload: string }
  /** `kept`: answered once the list of devices is on the disk. */
  | { readonly type: "fence"; readonly id: number; readonly kept: boolean }
  | { readonly type: "log"; readonly record: LogRecord }
  | { readonly type: "stopped" };
