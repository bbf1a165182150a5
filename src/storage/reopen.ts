import { errorText, TransientError } from "#sdk/errors";
import type { EventStore, StorageSettings } from "./event-store.ts";
import type { HandedOver } from "./hand-over.ts";
import { MemoryStore } from "./memory-store.ts";
import { type OpenStoreDeps, openEventStore } from "./open.ts";

/** Longest wait for one batch that moves. */
const APPEND_MS = 20_000;

/** A store after a change of its settings. */
export interface Reopened {
  readonly store: EventStore;
  /** Why the settings could not be used: `store` is as it was before. */
  readonly error: Error | undefined;
}

/**
 * Closes a store that nobody uses and opens it with other settings, everything that waits included, also from memory to disk and
 * back. When that fails the settings before are used again. @throws TransientError when these fail too
 */
export async function reopenEventStore(
  store: EventStore,
  change: { readonly from: StorageSettings; readonly to: StorageSettings },
  deps: OpenStoreDeps,
  signal: AbortSignal,
): Promise<Reopened> {
  const waiting = [...(await close(store))];
  try {
    return { store: await openFilled(change.to, waiting, deps, signal), error: undefined };
  } catch (error) {
    deps.log.error("The event store cannot be used with the changed settings", { error });
    const before = await openFilled(change.from, waiting, deps, signal);
    return { store: before, error: new TransientError(errorText(error)) };
  }
}

async function close(store: EventStore): Promise<readonly HandedOver[]> {
  if (store instanceof MemoryStore) {
    return await store.handOver();
  }
  await store[Symbol.asyncDispose]();
  return [];
}

/** Takes from `waiting` what the store has taken. */
async function openFilled(
  settings: StorageSettings,
  waiting: HandedOver[],
  deps: OpenStoreDeps,
  signal: AbortSignal,
): Promise<EventStore> {
  const store = await openEventStore(settings, deps);
  try {
    for (let [batch] = waiting; batch !== undefined; [batch] = waiting) {
      const { text, records, values } = batch;
      // A store that makes its sources wait for room would wait for ever: nobody sends meanwhile.
      const limited = deps.clock.deadline(APPEND_MS, signal);
      await store.append(text, records, { urgent: true, values }, limited);
      waiting.shift();
    }
    return store;
  } catch (error) {
    waiting.unshift(...(await close(store)));
    throw error;
  }
}
