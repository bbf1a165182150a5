import type { Clock } from "#sdk/clock";
import type { ConnectorHost } from "#sdk/connector";
import type { Logger } from "#sdk/logger";
import type { Announced } from "./announced.ts";
import { Attributes, type AttributesDeps } from "./attributes.ts";
import { Claims, type Publisher } from "./claims.ts";
import type { ConnectorDirectory } from "./connector-directory.ts";
import type { Downlinks } from "./downlinks.ts";
import type { ConnectorCounters } from "./metrics.ts";
import type { PlatformLink } from "./platform-link.ts";
import { findReboot, thisMachine } from "./reboot.ts";
import { Rpc, type RpcCounts, type RpcDeps } from "./rpc.ts";
import { type BuiltinDeps, builtinMethods } from "./rpc-builtin.ts";
import type { ConfiguredConnector } from "./rpc-gateway.ts";
import type { GatewayMethod, GatewayMethods } from "./rpc-methods.ts";

/** What the services need of their surroundings. */
export interface DownlinkServicesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly dataDir: string;
  readonly publisher: Publisher;
  readonly platform: PlatformLink;
  readonly downlinks: Downlinks;
  readonly announced: Announced;
  readonly devices: AttributesDeps["devices"] & BuiltinDeps["devices"];
  readonly keepDevices: RpcDeps["keepDevices"];
  readonly directory: ConnectorDirectory;
  readonly counters: ConnectorCounters;
  /** The connectors of the configuration at this moment. */
  readonly configured: () => readonly ConfiguredConnector[];
  readonly allowsReboot: BuiltinDeps["allowsReboot"];
  readonly syncsAttributes: boolean;
  readonly restart: (() => void) | undefined;
}

/** What comes down from the platform for devices and for the gateway itself: calls and attributes; and the questions that go up. */
export class DownlinkServices implements AsyncDisposable {
  readonly #log: Logger;
  readonly #methods: Map<string, GatewayMethod>;
  /** Names of those that extensions define. */
  #extensionMethods: readonly string[] = [];
  readonly #rpc: Rpc;
  readonly #attributes: Attributes;
  readonly #claims: Claims;

  constructor(deps: DownlinkServicesDeps) {
    const { configured, counters, restart } = deps;
    const count = (id: string, name: string, by: number): void => counters.count(id, name, by);
    this.#log = deps.log;
    this.#methods = new Map(
      builtinMethods({
        ...deps,
        connectors: configured,
        countersOf: (id) => counters.of(id),
        restart,
        findReboot: () => findReboot(thisMachine()),
        deviceRemoved: (name) => this.#rpc.forget(name),
      }),
    );
    this.#rpc = new Rpc({ ...deps, count, configured, methods: this.#methods });
    this.#attributes = new Attributes({ ...deps, count, syncs: deps.syncsAttributes });
    this.#claims = new Claims(deps);
  }

  /** Adds methods of the gateway by their full names; one that is there already is not replaced. */
  addMethods(methods: GatewayMethods): void {
    for (const [name, method] of methods) {
      if (this.#methods.has(name)) {
        this.#log.warn("A method of the gateway is there already and is not replaced", { name });
      } else {
        this.#methods.set(name, method);
      }
    }
  }

  /** The methods that extensions define, in place of those they defined before. Others are not replaced by them. */
  setExtensionMethods(methods: GatewayMethods): void {
    for (const name of this.#extensionMethods) {
      this.#methods.delete(name);
    }
    this.#extensionMethods = [...methods.keys()].filter((name) => !this.#methods.has(name));
    this.addMethods(methods);
  }

  /** Calls of the platform since the start. */
  get rpcCounts(): RpcCounts {
    return this.#rpc.counts;
  }

  /** Asks the platform for attributes of a device. */
  get attributes(): Pick<ConnectorHost["attributes"], "request"> {
    return this.#attributes.requests;
  }

  /** Lets a customer claim a device; see `ConnectorHost`. */
  claim: ConnectorHost["devices"]["claim"] = async (deviceName, claim) => {
    await this.#claims.claim(deviceName, claim);
  };

  /** The device is no longer known. */
  forget(deviceName: string): void {
    this.#attributes.forget(deviceName);
  }

  /** Takes no more, answers the calls at work, and waits at most a second until the answers have arrived. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#claims[Symbol.dispose]();
    this.#attributes[Symbol.dispose]();
    await this.#rpc[Symbol.asyncDispose]();
  }
}
