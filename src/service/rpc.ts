import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { Publisher } from "./claims.ts";
import { ConnectorCalls } from "./connector-calls.ts";
import type { ConnectorDirectory } from "./connector-directory.ts";
import type { Downlinks } from "./downlinks.ts";
import type { PlatformLink } from "./platform-link.ts";
import { type CallCounts, RpcCalls } from "./rpc-calls.ts";
import { DeviceRpc, type KnownDevices } from "./rpc-devices.ts";
import { type ConfiguredConnector, GatewayRpc } from "./rpc-gateway.ts";
import type { GatewayMethods } from "./rpc-methods.ts";
import { type ReplyCounts, RpcReplies } from "./rpc-replies.ts";

/** How long a stop waits for the PUBACKs of replies. */
const SETTLE_MS = 1000;

/** What calls need of their surroundings. */
export interface RpcDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly publisher: Publisher;
  readonly platform: PlatformLink;
  readonly downlinks: Downlinks;
  readonly devices: KnownDevices;
  /** Resolves when the list of devices is on the disk as it is at this moment. */
  readonly keepDevices: () => Promise<void>;
  readonly directory: ConnectorDirectory;
  readonly count: (connectorId: string, name: string, by: number) => void;
  /** The connectors of the configuration at this moment. */
  readonly configured: () => readonly ConfiguredConnector[];
  /** By full name; may gain methods later. A connector type of the configuration goes before them. */
  readonly methods: GatewayMethods;
}

/** Calls of the platform since the start. */
export type RpcCounts = CallCounts & ReplyCounts;

/** Calls of the platform, to devices and to the gateway itself. */
export class Rpc implements AsyncDisposable {
  readonly #replies: RpcReplies;
  readonly #calls: RpcCalls;
  readonly #handlers = new DisposableStack();

  constructor(deps: RpcDeps) {
    const { clock, count, directory, downlinks, log } = deps;
    this.#replies = new RpcReplies(deps);
    this.#calls = new RpcCalls(clock, this.#replies);
    const connectorCalls = new ConnectorCalls({ clock, log, count });
    const shared = { clock, log, downlinks, directory, calls: this.#calls, connectorCalls };
    const { configured, devices, keepDevices, methods } = deps;
    this.#handlers.use(new DeviceRpc({ ...shared, devices }));
    this.#handlers.use(new GatewayRpc({ ...shared, configured, keepDevices, methods }));
  }

  get counts(): RpcCounts {
    return { ...this.#calls.counts, ...this.#replies.counts };
  }

  /** A device is gone from the platform, by its name there: no reply may bring it back. */
  forget(device: string): void {
    this.#calls.forget(device);
  }

  /** Takes no more calls, answers those at work, and waits at most a second until the answers have arrived. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#handlers[Symbol.dispose]();
    this.#calls.end("The gateway is stopping");
    await this.#replies.settled(SETTLE_MS);
    this.#calls[Symbol.dispose]();
    this.#replies[Symbol.dispose]();
  }
}
