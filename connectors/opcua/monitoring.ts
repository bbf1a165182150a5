import type { ClientSession, ClientSessionRawSubscriptionService } from "node-opcua-client";
import { assert } from "#sdk/errors";

/** The services of a session for monitored items, which the stack's own type leaves out. */
export function monitoringOf(session: ClientSession): ClientSessionRawSubscriptionService {
  assert(hasMonitoring(session), "the stack offers the services of monitored items");
  return session;
}

function hasMonitoring(
  session: ClientSession,
): session is ClientSession & ClientSessionRawSubscriptionService {
  return "createMonitoredItems" in session && "deleteMonitoredItems" in session;
}
