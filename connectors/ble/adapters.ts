import type { Clock } from "#sdk/clock";
import { Adapter, type AdapterSettings } from "./adapter.ts";

/** An adapter in use. */
interface Shared {
  readonly adapter: Adapter;
  readonly stop: AbortController;
  readonly running: Promise<never>;
  users: number;
}

/** One adapter for all connectors that name it. */
const open = new Map<string, Shared>();
/** Ends of adapters that are being closed: the next one on the same place waits. */
const closing = new Map<string, Promise<unknown>>();

/** An adapter for one connector, until it is disposed. */
export interface AdapterLease extends AsyncDisposable {
  readonly adapter: Adapter;
  /** Rejects when the adapter has ended by an error of ours, or with `signal.reason`. */
  failed(signal: AbortSignal): Promise<never>;
}

/** Takes part in an adapter, which is opened for the first one and closed after the last one. */
export async function leaseAdapter(settings: AdapterSettings, clock: Clock): Promise<AdapterLease> {
  const { name } = settings;
  await closing.get(name);
  const shared = open.get(name) ?? start(settings, clock);
  shared.users += 1;
  let isHeld = true;
  return {
    adapter: shared.adapter,
    failed: (signal) => failureOf(shared, signal),
    [Symbol.asyncDispose]: async () => {
      if (!isHeld) {
        return;
      }
      isHeld = false;
      shared.users -= 1;
      if (shared.users === 0) {
        await close(name, shared);
      }
    },
  };
}

function start(settings: AdapterSettings, clock: Clock): Shared {
  const stop = new AbortController();
  const adapter = new Adapter(settings, clock);
  const running = adapter.run(stop.signal);
  running.catch(() => undefined);
  const shared: Shared = { adapter, stop, running, users: 0 };
  open.set(settings.name, shared);
  return shared;
}

async function failureOf({ running }: Shared, signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([promise, running]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function close(name: string, shared: Shared): Promise<void> {
  open.delete(name);
  shared.stop.abort(new Error("nobody uses the adapter"));
  const end = shared.running.catch(() => undefined);
  closing.set(name, end);
  await end;
  if (closing.get(name) === end) {
    closing.delete(name);
  }
}
