/** Counters since the start of the process; plain data. */
export interface SenderStats {
  readonly acknowledgedValues: number;
  readonly acknowledgedRecords: number;
  /** The part of the values that is telemetry, and the records that are attributes. */
  readonly acknowledgedTelemetryValues: number;
  readonly acknowledgedAttributeRecords: number;
  readonly quarantinedRecords: number;
  /** Data publishes, those sent again included. */
  readonly publishes: number;
  /** Publishes that carried a record for the second time or later. */
  readonly resends: number;
  /** PUBACKs that refused. */
  readonly refusals: number;
  readonly payloadBytes: number;
  readonly inFlight: number;
  /** Largest number of data publishes that were in flight together. */
  readonly maxInFlight: number;
  readonly waitingAgain: number;
  readonly backlogRecords: number;
  readonly backlogBytes: number;
}

/** What a watchdog looks at; plain data. */
export interface SenderProgress {
  /** Monotonic milliseconds of the last data publish that the platform has taken; `undefined` before the first. */
  readonly lastAckMs: number | undefined;
  /** Records that are in memory and without a PUBACK. */
  readonly waiting: number;
  /**
   * No acknowledgement is to be expected: a rate limit, a pause the platform asked for, its refusal of all that waits, a store that
   * has to confirm first, or a stop that is under way.
   */
  readonly paused: boolean;
  /** How long records wait on an open link without any being taken, although nothing pauses; 0 when that is not so. */
  readonly stalledMs: number;
}
