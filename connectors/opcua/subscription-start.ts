import type { ClientSubscription } from "node-opcua-client";
import type { Clock } from "#sdk/clock";
import type { ServerSession } from "./client.ts";
import { NoAnswer, toFailure } from "./failures.ts";

/** How fast a subscription should be, and how much it may say at once. */
export interface Timing {
  readonly intervalMs: number;
  readonly sessionTimeoutMs: number;
  /** Changes in one message. */
  readonly mostChanges: number;
}

/** The stack neither starts nor fails when the server's interval and the session's timeout do not fit each other. */
const START_MS = 10_000;

/**
 * Opens a subscription. Keep-alives come about every 5 s and well within the timeout of the session.
 * @throws ServiceFault, NoAnswer; rejects with `signal.reason`
 */
export async function startSubscription(
  session: ServerSession,
  { intervalMs, sessionTimeoutMs, mostChanges }: Timing,
  clock: Clock,
  signal: AbortSignal,
): Promise<ClientSubscription> {
  // A server that makes the interval longer must not make a keep-alive later than the end of the session.
  const interval = Math.min(intervalMs, sessionTimeoutMs / 4);
  const mostCount = Math.max(3, Math.floor(sessionTimeoutMs / (2 * Math.max(interval, 1000))));
  const keepAlives = Math.min(Math.max(Math.floor(5000 / interval), 3), 20, mostCount);
  const lifetime = Math.max(1000, 3 * keepAlives, Math.ceil(60_000 / interval));
  const { ClientSubscription: Subscription } = session.library;
  const subscription = Subscription.create(session.raw, {
    requestedPublishingInterval: interval,
    requestedMaxKeepAliveCount: keepAlives,
    requestedLifetimeCount: lifetime,
    maxNotificationsPerPublish: mostChanges,
    publishingEnabled: true,
    priority: 1,
  });
  const started = Promise.withResolvers<void>();
  subscription.on("started", () => started.resolve());
  subscription.on("error", (error) => started.reject(error));
  subscription.on("internal_error", () => undefined);
  const onAbort = (): void => started.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  using _timer = clock.timer(START_MS, () =>
    started.reject(new NoAnswer("The server did not open a subscription")),
  );
  try {
    await Promise.race([started.promise, session.lost]);
  } catch (error) {
    signal.throwIfAborted();
    throw toFailure(error, "the subscription");
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  return subscription;
}
