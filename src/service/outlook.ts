import type { Rates } from "../delivery/port.ts";
import type { StorageSettings, StoreStats } from "../storage/event-store.ts";

/** Bytes on the disk a value is taken to need while too few are there to measure it. */
const ASSUMED_VALUE_BYTES = 12;
/** From so many values on, what they really need says more. */
const MEASURED_FROM_VALUES = 1000;

/** What is ahead of the event store at the present rates; `undefined`: that cannot be said, or does not apply. */
export interface Outlook {
  /** How long the store would keep everything if nothing were acknowledged from this moment on. */
  readonly lastsMs: number | undefined;
  /** When the quota is reached, while the store grows. */
  readonly fullInMs: number | undefined;
  /** When the backlog is gone, while more is acknowledged than stored. */
  readonly clearsInMs: number | undefined;
}

/** Looks ahead. */
export function outlook(store: StoreStats, rates: Rates, settings: StorageSettings): Outlook {
  const { queued } = store.ledger;
  const drainPerSecond = rates.acknowledged - rates.stored;
  const clears = queued > 0 && drainPerSecond > 0;
  return {
    lastsMs: lastsMs(store, rates, settings),
    fullInMs: store.horizonMs,
    clearsInMs: clears ? Math.round((queued / drainPerSecond) * 1000) : undefined,
  };
}

function lastsMs(
  store: StoreStats,
  rates: Rates,
  { kind, ttlMs }: StorageSettings,
): number | undefined {
  if (rates.stored <= 0 || kind === "memory") {
    return store.horizonMs;
  }
  const valueBytes =
    store.values >= MEASURED_FROM_VALUES ? store.bytes / store.values : ASSUMED_VALUE_BYTES;
  const freeBytes = Math.max(0, store.maxBytes - store.bytes);
  const roomMs = Math.round((freeBytes / (valueBytes * rates.stored)) * 1000);
  return ttlMs > 0 ? Math.min(roomMs, ttlMs) : roomMs;
}
