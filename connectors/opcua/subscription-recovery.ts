import type {
  ClientSession,
  ClientSubscription,
  NotificationMessage,
  RepublishRequest,
  RepublishRequestOptions,
  RepublishResponse,
  TransferSubscriptionsResponse,
} from "node-opcua-client";
import { assert } from "#sdk/errors";
import type { ServerSession } from "./client.ts";
import { isBad, ServiceFault } from "./failures.ts";

/** Notifications that a server keeps for one subscription, at most. */
const MAX_KEPT = 10_000;

/** What sends the Publish requests of a session; the stack's own type leaves it out. */
interface PublishEngine {
  readonly subscriptionMap: Record<number, unknown>;
  suspend(isSuspended: boolean): void;
  registerSubscription(subscription: ClientSubscription): void;
  acknowledge_notification(subscriptionId: number, sequenceNumber: number): void;
}

/** Services that the stack's own type leaves out; each is given as a promise too. */
interface KeepingServices {
  republish(request: RepublishRequest): Promise<RepublishResponse>;
  transferSubscriptions(request: {
    readonly subscriptionIds: number[];
    readonly sendInitialValues: boolean;
  }): Promise<TransferSubscriptionsResponse>;
}

/** The inner side of a subscription of the stack. */
interface Publishing {
  publishEngine: PublishEngine;
  lastSequenceNumber: number;
  onNotificationMessage(message: NotificationMessage): void;
}

/** No Publish requests for this subscription's session until it is taken up again. */
export function suspendPublishing(subscription: ClientSubscription): void {
  innerOf(subscription).publishEngine.suspend(true);
}

/**
 * Takes up the subscriptions of a session that was lost: those of a session the server still had, else they are transferred to
 * the one that took its place. What they have said meanwhile is asked for first, in order. The answer: those that go on.
 * @throws SessionLost, NoAnswer
 */
export async function recoverSubscriptions(
  session: ServerSession,
  subscriptions: readonly ClientSubscription[],
): Promise<ReadonlySet<ClientSubscription>> {
  if (subscriptions.length === 0) {
    return new Set();
  }
  const going = session.isResumed
    ? new Map(subscriptions.map((subscription) => [subscription, undefined] as const))
    : await transferred(session, subscriptions);
  const recovered = new Set<ClientSubscription>();
  for (const [subscription, kept] of going) {
    if (await isRepublished(session, subscription, kept)) {
      recovered.add(subscription);
    }
  }
  for (const subscription of recovered) {
    const { publishEngine } = innerOf(subscription);
    if (publishEngine.subscriptionMap[subscription.subscriptionId] === undefined) {
      publishEngine.registerSubscription(subscription);
    }
    publishEngine.suspend(false);
  }
  return recovered;
}

/** Those that the server has handed to this session, with the sequence numbers it keeps. */
async function transferred(
  session: ServerSession,
  subscriptions: readonly ClientSubscription[],
): Promise<ReadonlyMap<ClientSubscription, readonly number[]>> {
  const engine = engineOf(session);
  const going = new Map<ClientSubscription, readonly number[]>();
  const subscriptionIds = subscriptions.map(({ subscriptionId }) => subscriptionId);
  try {
    const { results } = await session.call("the transfer of subscriptions", (raw) =>
      keepingOf(raw).transferSubscriptions({ subscriptionIds, sendInitialValues: false }),
    );
    for (const [index, subscription] of subscriptions.entries()) {
      const result = results?.[index];
      if (result !== undefined && !isBad(result.statusCode)) {
        innerOf(subscription).publishEngine = engine;
        going.set(subscription, [...(result.availableSequenceNumbers ?? [])]);
      }
    }
  } catch (error) {
    if (!(error instanceof ServiceFault)) {
      throw error; // A server without this service refuses it.
    }
  }
  return going;
}

/**
 * Asks again for the messages that got lost on the way, and hands them on. Whether the server still has the subscription.
 * `kept`: the numbers it says it keeps; without them they are asked for one by one.
 */
async function isRepublished(
  session: ServerSession,
  subscription: ClientSubscription,
  kept: readonly number[] | undefined,
): Promise<boolean> {
  const inner = innerOf(subscription);
  const { subscriptionId } = subscription;
  const wanted = kept ?? following(inner);
  try {
    for (const retransmitSequenceNumber of wanted) {
      if (kept === undefined || isAfter(retransmitSequenceNumber, inner.lastSequenceNumber)) {
        const request = { subscriptionId, retransmitSequenceNumber };
        inner.onNotificationMessage(await republish(session, request));
      }
      inner.publishEngine.acknowledge_notification(subscriptionId, retransmitSequenceNumber);
    }
    return true;
  } catch (error) {
    if (error instanceof ServiceFault) {
      return error.status.name === "BadMessageNotAvailable";
    }
    throw error;
  }
}

/** A message that got lost on the way. @throws ServiceFault when the server has it no more */
async function republish(
  session: ServerSession,
  request: RepublishRequestOptions,
): Promise<NotificationMessage> {
  const answer = await session.call("a republish", (raw) =>
    keepingOf(raw).republish(new session.library.RepublishRequest(request)),
  );
  const { serviceResult } = answer.responseHeader;
  if (isBad(serviceResult)) {
    throw new ServiceFault(serviceResult);
  }
  return answer.notificationMessage;
}

function* following(inner: Publishing): Generator<number> {
  for (let count = 0; count < MAX_KEPT; count += 1) {
    yield nextNumber(inner.lastSequenceNumber);
  }
}

/** Sequence numbers begin at 1 again after the largest one (OPC UA Part 4 §5.13.1.1). */
function nextNumber(number: number): number {
  return number >= 0xff_ff_ff_ff ? 1 : Math.max(0, number) + 1;
}

function isAfter(number: number, last: number): boolean {
  return number > last || last - number > 0x7f_ff_ff_ff;
}

function keepingOf(session: ClientSession): KeepingServices {
  assert(hasKeepingServices(session), "the stack offers Republish and TransferSubscriptions");
  return session;
}

function hasKeepingServices(session: ClientSession): session is ClientSession & KeepingServices {
  return "republish" in session && "transferSubscriptions" in session;
}

function engineOf(session: ServerSession): PublishEngine {
  const get: unknown = Reflect.get(session.raw, "getPublishEngine");
  const engine: unknown = typeof get === "function" ? get.call(session.raw) : undefined;
  assert(isEngine(engine), "the stack offers the publish engine of a session");
  return engine;
}

function innerOf(subscription: ClientSubscription): ClientSubscription & Publishing {
  assert(isPublishing(subscription), "the stack offers the inner side of a subscription");
  return subscription;
}

function isPublishing(
  subscription: ClientSubscription,
): subscription is ClientSubscription & Publishing {
  return (
    "lastSequenceNumber" in subscription &&
    "onNotificationMessage" in subscription &&
    "publishEngine" in subscription &&
    isEngine(subscription.publishEngine)
  );
}

function isEngine(value: unknown): value is PublishEngine {
  return (
    typeof value === "object" &&
    value !== null &&
    "subscriptionMap" in value &&
    "suspend" in value &&
    "registerSubscription" in value &&
    "acknowledge_notification" in value
  );
}
