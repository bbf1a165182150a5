import type { Clock } from "#sdk/clock";
import { DeviceHealth } from "./device-health.ts";
import { ConnectorCounters } from "./metrics.ts";
import type { ConnectorLink } from "./status.ts";
import { UplinkHistory } from "./uplink-history.ts";

/** Messages of the platform that ask for something or bring attributes. */
const FROM_PLATFORM =
  /^v1\/(?:gateway\/(?:rpc|attributes(?:\/response)?)|devices\/me\/(?:rpc\/request\/.*|attributes(?:\/response\/.*)?))$/;

/** All that is noted while the gateway works, for its status, metrics and statistics. Holds no secrets but what connectors put into words. */
export class Observation {
  readonly startedMs: number;
  readonly counters = new ConnectorCounters();
  readonly health: DeviceHealth;
  readonly uplink: UplinkHistory;
  /** What each connector said about its links last, by id. */
  readonly links = new Map<string, ConnectorLink>();
  #messagesFromPlatform = 0;

  constructor(clock: Clock) {
    this.startedMs = clock.monotonicMs();
    this.health = new DeviceHealth(clock);
    this.uplink = new UplinkHistory(clock);
  }

  /** RPC requests and attribute messages received since the start. */
  get messagesFromPlatform(): number {
    return this.#messagesFromPlatform;
  }

  /** A message of the platform has come. */
  downlink(topic: string): void {
    this.#messagesFromPlatform += FROM_PLATFORM.test(topic) ? 1 : 0;
  }
}
