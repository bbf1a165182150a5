import type { Clock } from "#sdk/clock";
import { errorText, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { AckDeadline } from "./ack-deadline.ts";
import { Connection, NOT_A_GATEWAY } from "./connection.ts";
import { Dialer } from "./dialer.ts";
import type { MqttLink } from "./link.ts";
import { stateAfter } from "./session-state.ts";
import type { Credentials, SessionSettings } from "./settings.ts";
import { GATEWAY_DISCONNECT } from "./topics.ts";
import type { Endpoint, Lookup } from "./transport.ts";

/** How far a trial came: the address of the host, the connection up to CONNACK, or the first messages. */
export type TrialStep = "address" | "connect" | "messages";

/** What a trial of the connection came to. */
export type TrialResult =
  | {
      readonly ok: true;
      readonly host: string;
      readonly protocol: "5" | "3.1.1";
      /** "unknown": the server is too old to tell, or the credentials do not exist yet. */
      readonly isGateway: true | "unknown";
      /** Another client came with the same credentials meanwhile: the gateway itself, which runs already. */
      readonly isShared: boolean;
    }
  | {
      readonly ok: false;
      readonly step: TrialStep;
      /** `refused`: the credentials are bad. `not-a-gateway`: the device lacks the flag. `down`: anything else. */
      readonly state: "refused" | "not-a-gateway" | "down";
      /** In words. */
      readonly message: string;
    };

type Failure = TrialResult & { readonly ok: false };

/** What a trial needs. */
export interface TrialHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly lookup?: Lookup;
}

/** MQTT 5 §2.4. */
const SESSION_TAKEN_OVER = 0x8e;
/** Longest wait for each of the first answers, as long as a session waits for an acknowledgement: a slow line is no plain device. */
const ANSWER_WAIT_MS = 10_000;
/** A device that no platform has: saying good-bye to it is acknowledged to a gateway and changes nothing. */
const NOBODY = '{"device":"tbgw connection test"}';
/** A session that may do nothing but ask for credentials. */
const GUEST: Credentials = {
  kind: "usernamePassword",
  username: "provision",
  password: undefined,
  clientId: undefined,
};

/**
 * Connects once to each address of the platform until one lets the gateway in, and looks whether it is taken for a gateway. Stores
 * nothing there, makes no device and asks for no credentials: a gateway that has none yet is only let through the door. Ends within
 * about 40 s an address. @throws the signal's reason alone
 */
export async function tryConnection(
  settings: SessionSettings,
  host: TrialHost,
  signal: AbortSignal,
): Promise<TrialResult> {
  const isGuest = settings.credentials.kind === "provisioning";
  const tried = isGuest ? { ...settings, credentials: GUEST } : settings;
  const attempt = { dialer: new Dialer(tried, host), isGuest, settings: tried, host };
  const seen = new Set<string>();
  let failure: Failure = failed("address", new TransientError("There is no address to try"));
  // One that is not found counts as one that was tried, so that the hosts of a cluster are all gone through.
  for (let lost = 0; lost < settings.hosts.length; ) {
    try {
      const endpoint = await attempt.dialer.next(signal);
      const name = `${endpoint.address}:${endpoint.port}`;
      if (seen.has(name)) {
        return failure;
      }
      seen.add(name);
      const result = await tryEndpoint(attempt, endpoint, signal);
      if (result.ok || result.state !== "down") {
        return result;
      }
      failure = result;
    } catch (error) {
      signal.throwIfAborted();
      failure = failed("address", error);
      lost += 1;
    }
  }
  return failure;
}

interface Attempt {
  readonly dialer: Dialer;
  readonly isGuest: boolean;
  readonly settings: SessionSettings;
  readonly host: TrialHost;
}

async function tryEndpoint(
  attempt: Attempt,
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<TrialResult> {
  let tellsLimits = false;
  const connection = new Connection({
    clock: attempt.host.clock,
    deadline: new AckDeadline(),
    isGateway: () => false,
    // Nobody is there to take it: it stays with the platform.
    downlink: async () => await Promise.resolve(false),
    limits: () => {
      tellsLimits = true;
    },
  });
  let link: MqttLink;
  try {
    link = await attempt.dialer.open(endpoint, connection, signal);
  } catch (error) {
    signal.throwIfAborted();
    return failed("connect", error);
  }
  const welcome = {
    ok: true,
    host: `${endpoint.host}:${endpoint.port}`,
    protocol: link.version === 5 ? "5" : "3.1.1",
  } as const;
  try {
    connection.attach(link, attempt.settings.keepAliveSeconds);
    const isGateway = attempt.isGuest || (await greet(connection, attempt.host.clock, signal));
    if (!isGateway && tellsLimits) {
      const step = "messages" as const;
      return { ok: false, step, state: "not-a-gateway", message: NOT_A_GATEWAY };
    }
    const isKnown = isGateway && !attempt.isGuest;
    return { ...welcome, isGateway: isKnown ? true : "unknown", isShared: false };
  } catch (error) {
    signal.throwIfAborted();
    // The credentials are good, and what came after them was for another connection.
    return (await isTakenOver(connection))
      ? { ...welcome, isGateway: "unknown", isShared: true }
      : failed("messages", error);
  } finally {
    await link.disconnect();
    connection.outstanding[Symbol.dispose]();
  }
}

/** Whether the platform ended the connection because of another one of the same device. */
async function isTakenOver(connection: Connection): Promise<boolean> {
  const end = await Promise.race([connection.ended, Promise.resolve(undefined)]);
  return end?.code === SESSION_TAKEN_OVER;
}

/** The first messages of a session; resolves with whether one that only a gateway may send is acknowledged. @throws TransientError */
async function greet(connection: Connection, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const limits = connection.askLimits(ANSWER_WAIT_MS, signal);
  const subscribed = connection.subscribe(signal);
  // One that fails must not leave the other unheard.
  await Promise.allSettled([limits, subscribed]);
  await limits;
  await subscribed;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  connection.write(GATEWAY_DISCONNECT, NOBODY, {
    acked: () => resolve(true),
    overdue: () => undefined,
    lost: () => undefined,
  });
  using _timer = clock.timer(ANSWER_WAIT_MS, () => resolve(false));
  return await connection.until(promise, signal);
}

function failed(step: TrialStep, error: unknown): Failure {
  const state = stateAfter(error) === "refused" ? "refused" : "down";
  return { ok: false, step, state, message: errorText(error) };
}
