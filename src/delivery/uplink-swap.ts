import type { Clock } from "#sdk/clock";
import { errorText, TransientError } from "#sdk/errors";
import type { Session } from "../thingsboard/session.ts";
import type { SwapRequest } from "./port.ts";

/** A session that connects by itself; it delivers nothing until a sender uses it. */
export interface RunningSession {
  readonly session: Session;
  /** Ends it. */
  readonly stop: AbortController;
  /** Rejects when it has ended. */
  readonly run: Promise<never>;
}

/** What a swap needs of the thread. */
export interface SwapHost {
  readonly clock: Clock;
  /** Begins a session with the settings of the request; `onState` hears of each change of its link. */
  begin(onState: (state: Session["state"]) => void): RunningSession;
  /** Ends what delivers at this moment, and resolves when it has; what has no PUBACK stays in the store. */
  stopOld(): Promise<void>;
  /** Delivers over a session that is proven. */
  adopt(proven: RunningSession): void;
  /** Delivers as before the swap again. */
  restoreOld(): void;
  /** One change of the uplink at a time. */
  exclusively(change: () => Promise<void>): Promise<void>;
}

/**
 * Delivers over another session from here on, once that has proven itself by a CONNACK and a PUBACK. Until then, and for good when
 * it does not, the old one delivers: at the same time where the server sees two devices, before and after the trial where it allows
 * one session only. @throws TransientError when there is no proof within `deadlineMs`
 */
export async function swapUplink(
  host: SwapHost,
  request: SwapRequest,
  signal: AbortSignal,
): Promise<void> {
  if (request.mode === "parallel") {
    const proven = await trial(host, request, signal);
    await host.exclusively(async () => {
      await host.stopOld();
      host.adopt(proven);
    });
    return;
  }
  await host.exclusively(async () => {
    await host.stopOld();
    try {
      host.adopt(await trial(host, request, signal));
    } catch (error) {
      host.restoreOld();
      throw error;
    }
  });
}

/** A session that has been acknowledged a message; nothing is left of it otherwise. */
async function trial(
  host: SwapHost,
  request: SwapRequest,
  signal: AbortSignal,
): Promise<RunningSession> {
  let lastDetail = "";
  const refused = Promise.withResolvers<never>();
  refused.promise.catch(() => undefined); // Nobody listens any more after the proof.
  const running = host.begin(({ link, detail }) => {
    lastDetail = detail === "" ? lastDetail : detail;
    if (link === "refused") {
      refused.reject(new TransientError(`The platform refuses the connection: ${detail}`));
    }
  });
  const deadline = host.clock.deadline(request.deadlineMs, signal);
  try {
    await Promise.race([prove(running.session, request, deadline), refused.promise, running.run]);
    return running;
  } catch (error) {
    running.stop.abort(new TransientError("The trial of a connection has failed"));
    await running.run.catch(() => undefined); // It ends with what it was stopped for.
    signal.throwIfAborted();
    if (!deadline.aborted) {
      throw error;
    }
    const within = `within ${Math.round(request.deadlineMs / 1000)} s`;
    const why = lastDetail === "" ? "no answer" : lastDetail;
    throw new TransientError(`No acknowledged message over the connection ${within}: ${why}`);
  }
}

/** Resolves with the first PUBACK that takes the message; tries again over each connection. */
async function prove(session: Session, { proof }: SwapRequest, signal: AbortSignal): Promise<void> {
  for (;;) {
    await opened(session, signal);
    try {
      const code = await session.publish(proof.topic, proof.payload, signal);
      if (code < 0x80) {
        return;
      }
      throw new TransientError(`The platform refused a message: code 0x${code.toString(16)}`);
    } catch (error) {
      signal.throwIfAborted();
      if (session.isOpen) {
        throw new TransientError(errorText(error));
      }
    }
  }
}

async function opened(session: Session, signal: AbortSignal): Promise<void> {
  const open = Promise.withResolvers<void>();
  const onAbort = (): void => open.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const user = session.attach({
    opened: open.resolve,
    closed: () => undefined,
    writable: () => undefined,
  });
  try {
    signal.throwIfAborted();
    await open.promise;
  } finally {
    user[Symbol.dispose]();
    signal.removeEventListener("abort", onAbort);
  }
}
