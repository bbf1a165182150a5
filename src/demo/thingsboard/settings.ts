/** Release whose behaviour the double shows. `3.8` stands for 3.8 to 4.2, `4.3` for 4.2.1.1 and later. */
export type ServerVersion = "3.7" | "3.8" | "4.2.1" | "4.3";

/** What differs between the releases. */
export interface Features {
  /** `getSessionLimits` is answered and gateway metrics are collected. */
  readonly hasSessionLimits: boolean;
  /** MQTT 5: a notice `v1/gateway/disconnect` precedes a close for a rate limit or a queue failure. */
  readonly sendsDisconnectNotices: boolean;
  /** A message with several devices is acknowledged once for each of them, always with the same packet id. */
  readonly acksEachDevice: boolean;
  /** A message without a usable device is refused; otherwise it is skipped in silence. */
  readonly refusesUnusable: boolean;
  /** A message is acknowledged although its child cannot be opened; otherwise never. */
  readonly acksFailedOpen: boolean;
  /** The same for `v1/gateway/connect`. */
  readonly acksFailedConnect: boolean;
  /** A rate-limited gateway message is acknowledged before the close. */
  readonly acksRateLimited: boolean;
}

/** The differences of one release. */
export function featuresOf(version: ServerVersion): Features {
  const isSince421 = version === "4.2.1" || version === "4.3";
  return {
    hasSessionLimits: version !== "3.7",
    sendsDisconnectNotices: !isSince421,
    acksEachDevice: !isSince421,
    refusesUnusable: isSince421,
    acksFailedOpen: isSince421,
    acksFailedConnect: version === "4.3",
    acksRateLimited: isSince421,
  };
}

/** The time-outs of the server, in ms. A test may shorten them; the defaults are those of a default installation. */
export interface Timings {
  /** A connection or child session without traffic is closed after this. */
  sessionInactivityMs: number;
  /** How often idle sessions are looked for. */
  sweepMs: number;
  /** A child that cannot be opened fails after this. */
  openTimeoutMs: number;
  /** A call from a device to the platform that nobody answers fails after this. */
  clientRpcTimeoutMs: number;
  /** A device has this long to acknowledge the packet that carries a call. */
  rpcAckTimeoutMs: number;
  /** Time-out of a call to a device when the caller gives none. */
  rpcTimeoutMs: number;
  /** Shortest time-out of a call to a device. */
  minRpcTimeoutMs: number;
  /** A provisioning connection is closed this long after the reply. */
  provisionCloseMs: number;
  /** How often gateway metrics are stored. */
  metricsMs: number;
  /** How often devices are checked for inactivity, and how long one stays active without traffic. */
  stateCheckMs: number;
  deviceInactivityMs: number;
  /** A closed connection is cut off when the client has not closed its side after this. */
  closeFlushMs: number;
}

/** The timings of a default installation. */
export function defaultTimings(): Timings {
  return {
    sessionInactivityMs: 600_000,
    sweepMs: 3_000,
    openTimeoutMs: 10_000,
    clientRpcTimeoutMs: 60_000,
    rpcAckTimeoutMs: 10_000,
    rpcTimeoutMs: 10_000,
    minRpcTimeoutMs: 5_000,
    provisionCloseMs: 60_000,
    metricsMs: 60_000,
    stateCheckMs: 60_000,
    deviceInactivityMs: 600_000,
    closeFlushMs: 1_000,
  };
}

/** Totals since the double was created. */
export interface Counters {
  connections: number;
  packetsIn: number;
  packetsOut: number;
  bytesIn: number;
  bytesOut: number;
  /** PUBLISH packets received, those of unknown topics included. */
  publishes: number;
  /** Values of time series taken, null values not counted. */
  values: number;
  /** Attribute values taken. */
  attributes: number;
  pubacks: number;
  /** PUBACKs with a reason of 0x80 or above, also where MQTT 3 cannot show it. */
  refusals: number;
  /** Devices created by a message that named them. */
  devicesCreated: number;
  /** Replies to calls that nobody waited for. */
  staleReplies: number;
  /** Notices to gateways that expired. */
  noticesLost: number;
  /** Values acknowledged but not stored: a bad key, a device that was deleted, a `lose` fault. */
  lost: number;
}

/** All counters at zero. */
export function zeroCounters(): Counters {
  return {
    connections: 0,
    packetsIn: 0,
    packetsOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    publishes: 0,
    values: 0,
    attributes: 0,
    pubacks: 0,
    refusals: 0,
    devicesCreated: 0,
    staleReplies: 0,
    noticesLost: 0,
    lost: 0,
  };
}
