import type { Clock } from "./clock.ts";
import type { DownlinkConverter, UplinkConverter } from "./converter.ts";
import type { Logger } from "./logger.ts";
import type { AttributeUpdate, DeviceData, EpochMs, Json, RpcRequest, Values } from "./model.ts";
import type { Output, StandardSchema, Tag } from "./standard-schema.ts";

/** The way up: hands data of devices to the event store. */
export interface Uplink {
  /**
   * Hands data to the event store, all or nothing, and resolves when it is durable: acknowledge the source then, not before.
   * "filtered" (device filter, report strategy) is success too: nothing had to be stored. Waits only with `"whenFull": "wait"`;
   * otherwise the store makes room by its policy and counts what it drops. An abort while waiting stores nothing.
   * Values that cannot be sent are removed and counted; see B6.
   * @param options.urgent an outside party waits for this (PUBACK, serial reply, HTTP response): commit now.
   * @throws RejectedError when a record is invalid (no device name, no value left); nothing of the call is stored. Catch it at the call: let
   * through to `supervise` it would mean that the device refuses us. What `host.converters` returns is never invalid.
   */
  accept(
    data: DeviceData | readonly DeviceData[],
    signal: AbortSignal,
    options?: { readonly urgent?: boolean },
  ): Promise<AcceptResult>;
  /**
   * For sources that cannot wait (UDP, advertisements, event callbacks). Never waits; "queued" is not yet durable.
   * "overflow": not taken, counted. @throws RejectedError as `accept`.
   */
  tryAccept(data: DeviceData): { readonly status: "queued" | "filtered" | "overflow" };
}
/** What became of the data of one `accept`; none of the three is a failure of the caller. */
export type AcceptResult =
  | { readonly status: "stored" }
  | { readonly status: "filtered" | "dropped"; readonly reason: string };

/** Names of attributes; `"*"`: all. */
export type AttributeKeys = readonly string[] | "*" | undefined;

/** One running connector. The core creates it, runs it once, calls its handlers, and disposes it. */
export interface Connector extends AsyncDisposable {
  /**
   * Called once. Owns the loop: opens the links, reads, hands on, and reconnects them inside, with `supervise`. Ends within 1 s of the
   * abort, by returning or by rejecting with `signal.reason`. Any other end disposes this instance and starts a fresh one after a pause.
   */
  run(signal: AbortSignal): Promise<void>;
  /** An RPC to a device of this connector. Table in B7. @throws RpcError to choose the error code. */
  handleRpc?(request: RpcRequest, signal: AbortSignal): Promise<Json | void>;
  /** How long a call may take that does not say so itself (`params.timeout`). `undefined`: 10 s. `deviceName` is absent as in `RpcRequest`. */
  rpcTimeoutMs?(
    request: Pick<RpcRequest, "deviceName" | "method" | "params">,
  ): number | undefined | Promise<number | undefined>;
  /** An RPC to the gateway named `<type>_<method>`. */
  handleConnectorRpc?(request: RpcRequest, signal: AbortSignal): Promise<Json | void>;
  /** One call at a time per device, never on the network path. A throw is logged and counted. */
  handleAttributes?(update: AttributeUpdate, signal: AbortSignal): Promise<void>;
  /** Shared attributes to fetch when the device is announced; they arrive through `handleAttributes`. `undefined`: none. */
  sharedAttributeKeys?(deviceName: string): AttributeKeys | Promise<AttributeKeys>;
  /** Releases all that `run` may have left. Idempotent, works before `run`, settles within 5 s, never throws. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What the core gives to one connector instance. Every member throws once the instance is disposed. */
export interface ConnectorHost {
  /** UUID of the connector (B4); `name` and `type` as in `tb_gateway.json`. */
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** A directory of its own inside the data directory, kept over restarts; created on first read of this member. */
  readonly dataDir: string;
  readonly log: Logger;
  /** For lines about the conversion of data: they have a place of their own in log files and on the platform. */
  readonly converterLog: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly uplink: Uplink;
  readonly devices: {
    /**
     * Announces a device. Call it on proof only: a valid answer, a resolved base node, a matching advertisement. Remembered, and repeated
     * after each reconnect to the platform until `disconnect`. Resolves when remembered, platform there or not.
     */
    connect(deviceName: string, deviceType?: string): Promise<void>;
    disconnect(deviceName: string): Promise<void>;
    /**
     * Notes that a device did not answer, or said what cannot be used: `tbgw status` shows it beside the last good read.
     * Counts no value and disconnects nothing. `error`: in words, without secrets.
     */
    failed(deviceName: string, error: string): void;
    /** The devices of this connector. */
    list(): ReadonlyMap<string, { readonly deviceType: string; readonly connected: boolean }>;
    /** Lets a customer claim the device; queued while the platform is away. */
    claim(
      deviceName: string,
      claim: { readonly secretKey: string; readonly durationMs: number },
    ): Promise<void>;
  };
  readonly attributes: {
    /** Asks the platform. Unknown keys are absent. @throws TransientError when it is away or silent for 20 s. */
    request(
      deviceName: string,
      keys: { readonly shared?: readonly string[]; readonly client?: readonly string[] },
      signal: AbortSignal,
    ): Promise<{ readonly shared: Values; readonly client: Values }>;
  };
  /** Data of the gateway's own device; stored like any other. */
  readonly gateway: GatewayUplink;
  readonly platform: {
    readonly connected: boolean;
    onChange(listener: (connected: boolean) => void): Disposable;
  };
  readonly converters: {
    /** Finds a converter by its `name` and this connector's type (B2), checks `config`, creates it. @throws ConfigError */
    uplink<Raw>(name: string, config: unknown): Promise<UplinkConverter<Raw>>;
    downlink<Entry = Json>(name: string, config: unknown): Promise<DownlinkConverter<Entry>>;
  };
  /** The state of the links, shown by `tbgw status` and on the platform. */
  setStatus(
    status: "connecting" | "connected" | "degraded" | "disconnected",
    detail?: string,
  ): void;
}
/** The way up for the gateway's own device. @throws RejectedError when no value is left */
export interface GatewayUplink {
  attributes(values: Values, signal: AbortSignal): Promise<AcceptResult>;
  telemetry(
    values: Values,
    signal: AbortSignal,
    options?: { readonly ts?: EpochMs },
  ): Promise<AcceptResult>;
}

/** Counters of one connector. */
export interface Metrics {
  /** Adds to a counter of this connector. The statistics report's names: `connectorMsgsReceived`, `connectorBytesReceived`. */
  count(name: string, by?: number): void;
  /** A message or value that never reached `accept`, for the ledger; `reason` in kebab case (`not-json`, `bad-value`). */
  rejected(reason: string, count?: number): void;
}

/** What `defineConnector` is given. */
export interface ConnectorSpec<S extends StandardSchema> {
  /** The `class` of the entry. Left out: takes every entry of its `type`. */
  readonly name?: string;
  readonly type: string;
  /** Checks the connector file, `id` and `name` included. */
  readonly schema: S;
  readonly overridesBuiltin?: true;
  /** An older shape of the file → today's, before `schema` sees it. In memory only. */
  upgrade?(json: Json): Json;
  /** Settles within 30 s and opens nothing that needs closing. */
  create(config: Output<S>, host: ConnectorHost): Connector | Promise<Connector>;
  /** For `tbgw check --explain`: what each tag or mapping will ask for and send. No I/O. */
  explain?(config: Output<S>): readonly Explanation[];
  /** The arguments of `tbgw probe <type>`, for its help and so that a wrong one is refused. */
  readonly probeArgs?: ProbeArgs;
  /** For `tbgw probe <type>`: looks at a device and changes nothing there. `options`: the flags of the command line. */
  probe?(
    options: Readonly<Record<string, string | boolean>>,
    tools: Pick<ConnectorHost, "clock" | "log">,
    signal: AbortSignal,
  ): AsyncIterable<Finding>;
}
/** Arguments of a command line by their names. */
export type ProbeArgs = Readonly<
  Record<
    string,
    {
      readonly type: "string" | "boolean" | "positional";
      readonly description: string;
      readonly valueHint?: string;
      readonly required?: boolean;
    }
  >
>;
/** One line of `tbgw check --explain`. */
export interface Explanation {
  /** JSON path of the configuration element: `devices[0].telemetry[2]`. */
  readonly path: string;
  readonly request: string;
  readonly sends: DeviceData | null;
}
/** One thing a probe found out. */
export interface Finding {
  readonly text: string;
  /** Configuration to paste. The last finding of a probe has a whole connector file. */
  readonly config?: Json;
  /** What `text` says, for a program. */
  readonly detail?: Json;
}

/** Tags a connector definition, so that the registry and the extension loader know what it is. */
export function defineConnector<const S extends StandardSchema>(
  spec: ConnectorSpec<S>,
): ConnectorSpec<S> & Tag<"connector"> {
  return { ...spec, kind: "connector", api: 1 };
}
