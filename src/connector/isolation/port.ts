import type { ConnectorHost } from "#sdk/connector";
import type { LogLevel } from "#sdk/logger";
import type { ReportStrategy } from "#sdk/model";
import type { End, Lookup } from "../../extension/uses.ts";
import type { PulseMemory } from "./pulse.ts";

/** Most calls of `accept` of one thread under way; the others wait in the thread. */
export const MAX_ACCEPTS = 1000;
/** Most records of `tryAccept` that the store has not answered for. */
export const MAX_TRIED = 10_000;
/** Most characters of values under way, for `accept` and for `tryAccept`. A single larger call travels alone. */
export const MAX_CHARS = 4 * 1024 * 1024;

/** Keys and values by turns: a value is its JSON text, `null` where there is none, `undefined` where it has no JSON form. */
export type WireValues = readonly (string | null | undefined)[];

/** `DeviceData` as it crosses the port. */
export interface WireData {
  readonly deviceName: string;
  readonly deviceType?: string;
  readonly attributes?: WireValues;
  readonly telemetry?: readonly { readonly ts?: number; readonly values: WireValues }[];
  readonly receivedTs?: number;
  readonly strategy?: ReportStrategy;
  readonly keyStrategies?: Readonly<Record<string, ReportStrategy>>;
}

/** An error as plain data. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string | undefined;
  readonly reason?: string;
  readonly code?: number;
  readonly retryAfterMs?: number | undefined;
  readonly file?: string;
  readonly issues?: readonly { readonly path: string; readonly message: string }[];
}

/** Where the thread finds the definition of a connector: inside the program, or in a file of an extension. */
export interface DefinitionOrigin {
  readonly kind: "builtin" | "extension";
  readonly type: string;
  /** `class` of the entry; `undefined` when it has none. */
  readonly name?: string | undefined;
}

/** Where files of extensions are looked for; see `ExtensionCatalogue`. */
export interface ExtensionFolders {
  readonly roots: readonly string[];
  readonly allowInsecure: boolean;
}

/** What an isolated connector is made from in its thread. */
export interface IsolatedSource {
  readonly origin: DefinitionOrigin;
  /** The connector's file as its schema is given it: upgraded, with `id` and `name`, references resolved. */
  readonly input: unknown;
}

/** What the thread is started with; the first message it gets. */
export interface StartRequest {
  readonly type: "start";
  readonly id: string;
  readonly name: string;
  readonly connectorType: string;
  readonly origin: DefinitionOrigin;
  readonly extensions: ExtensionFolders;
  /** JSON text of the connector's file. */
  readonly input: string;
  readonly dataDir: string;
  readonly level: LogLevel;
  readonly isConnected: boolean;
  readonly time: TimeBase;
  readonly pulse: PulseMemory;
  /** For the one question that must be answered at once: the devices. */
  readonly devices: { readonly port: MessagePort; readonly flag: SharedArrayBuffer };
}

/** The time of this moment where it is not the operating system's; `undefined` where it is. */
export type TimeBase = number | undefined;

/** Handlers of a connector that are called from the collection thread. */
export const HANDLERS = [
  "handleRpc",
  "handleConnectorRpc",
  "handleAttributes",
  "sharedAttributeKeys",
  "rpcTimeoutMs",
] as const;

/** One of `HANDLERS`. */
export type Handler = (typeof HANDLERS)[number];

/** Answers a question with the same `id`. */
export interface Answer {
  readonly type: "answer";
  readonly id: number;
  /** JSON text; `undefined` for nothing. */
  readonly value: string | undefined;
  readonly error: WireError | undefined;
}

/** Whoever asked does not wait any more. */
export interface Cancel {
  readonly type: "cancel";
  readonly id: number;
  readonly reason: string;
}

/** Collection → thread; sent in lists. */
export type ToThread =
  | StartRequest
  | { readonly type: "run" }
  | { readonly type: "stop"; readonly reason: string }
  | { readonly type: "dispose" }
  | {
      readonly type: "call";
      readonly id: number;
      readonly handler: Handler;
      /** JSON text of what the handler is given. */
      readonly argument: string;
    }
  | { readonly type: "credit"; readonly records: number; readonly chars: number }
  | { readonly type: "platform"; readonly isConnected: boolean }
  | { readonly type: "level"; readonly level: LogLevel }
  | { readonly type: "time"; readonly time: TimeBase }
  | Answer
  | Cancel;

/** What a connector asks its host for; answered by one `answer`. */
export type HostRequest =
  | { readonly ask: "accept"; readonly data: readonly WireData[]; readonly urgent: boolean }
  | { readonly ask: "connect"; readonly deviceName: string; readonly deviceType?: string }
  | { readonly ask: "disconnect"; readonly deviceName: string }
  | {
      readonly ask: "claim";
      readonly deviceName: string;
      readonly secretKey: string;
      readonly durationMs: number;
    }
  | {
      readonly ask: "attributes";
      readonly deviceName: string;
      readonly shared?: readonly string[];
      readonly client?: readonly string[];
    }
  | { readonly ask: "own-attributes"; readonly values: WireValues }
  | { readonly ask: "own-telemetry"; readonly values: WireValues; readonly ts?: number };

/** Thread → collection; sent in lists. */
export type FromThread =
  | { readonly type: "created"; readonly handlers: readonly Handler[] }
  /** `create` has failed. */
  | { readonly type: "not-created"; readonly error: WireError }
  /** `run` has ended; `undefined`: it has returned. */
  | { readonly type: "ended"; readonly error: WireError | undefined }
  | { readonly type: "disposed" }
  /** An error that nobody has handled. */
  | { readonly type: "stray"; readonly error: WireError }
  | { readonly type: "ask"; readonly id: number; readonly request: HostRequest }
  | {
      readonly type: "try";
      readonly data: WireData;
      readonly values: number;
      readonly chars: number;
    }
  | {
      readonly type: "counts";
      readonly counted: readonly (readonly [string, number])[];
      readonly rejected: readonly (readonly [string, number])[];
    }
  | {
      readonly type: "log";
      readonly channel: "log" | "converterLog";
      readonly level: Exclude<LogLevel, "none">;
      readonly message: string;
      /** JSON text. */
      readonly fields: string;
    }
  | {
      readonly type: "status";
      readonly status: Parameters<ConnectorHost["setStatus"]>[0];
      readonly detail?: string;
    }
  | { readonly type: "device-failed"; readonly deviceName: string; readonly error: string }
  /** A converter was looked for among the extensions. */
  | { readonly type: "looked-up"; readonly lookup: Lookup; readonly end: End }
  | Answer
  | Cancel;

/** What the devices of a connector are told as. */
export type DeviceList = readonly (readonly [
  string,
  { readonly deviceType: string; readonly connected: boolean },
])[];
