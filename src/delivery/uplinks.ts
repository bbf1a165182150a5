import type { Clock } from "#sdk/clock";
import { InvariantError, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { EventStore } from "../storage/event-store.ts";
import type { Sender } from "../thingsboard/sender.ts";
import type { Session } from "../thingsboard/session.ts";
import type { SessionSettings } from "../thingsboard/settings.ts";
import type { StampedStore } from "./late-stamps.ts";
import type { SwapRequest } from "./port.ts";
import { type RunningSession, swapUplink } from "./uplink-swap.ts";
import { type Progress, ProgressWatchdog } from "./watchdog.ts";

/** How often the watchdog looks. */
const WATCH_EVERY_MS = 10_000;

/** Session and sender: replaced together. */
export interface Uplink {
  readonly session: Session;
  readonly sender: Sender;
}

interface RunningUplink extends Uplink {
  readonly settings: SessionSettings;
  readonly stop: AbortController;
  readonly runs: Promise<unknown>;
}

/** What uplinks are made with. */
export interface UplinksHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: EventStore;
  /** The store as the sender reads it. */
  readonly stamped: StampedStore;
  /** Ends everything. */
  readonly life: AbortSignal;
  /** A session that does not run yet. */
  readonly createSession: (settings: SessionSettings, onState: () => void) => Session;
  /** A sender that knows the devices; it is given only sessions that deliver, and takes their downlinks. */
  readonly createSender: (session: Session) => Sender;
  /** Watches the certificates of a session until it ends. */
  readonly watchCertificates: (settings: SessionSettings, signal: AbortSignal) => Promise<unknown>;
  /** The state of the link has changed. */
  readonly onState: () => void;
  /** A part has ended before it was stopped: the thread must not go on as if it delivered. */
  readonly failed: (error: unknown) => void;
}

/** The one uplink of the thread, through all its changes: another connection, a pause, or because nothing moves any more. */
export class Uplinks {
  readonly #host: UplinksHost;
  readonly #watchdog = new ProgressWatchdog();
  readonly #steps = { reconnects: 0, rebuilds: 0 };
  #current: RunningUplink | undefined;
  #changes: Promise<void> = Promise.resolve();

  constructor(host: UplinksHost) {
    this.#host = host;
  }

  /** `undefined` before the first one, and for moments in which it is replaced. */
  get current(): Uplink | undefined {
    return this.#current;
  }

  /** How often the watchdog had to act, by step. */
  get steps(): { readonly reconnects: number; readonly rebuilds: number } {
    return this.#steps;
  }

  /** Resolves when what delivers at this moment has ended; something else must end it. */
  async ended(): Promise<void> {
    await this.#current?.runs;
  }

  /** Starts delivering; from here on there is a current uplink. */
  start(settings: SessionSettings, running = this.#begin(settings, this.#host.onState)): void {
    const { session, stop, run } = running;
    const { life, watchCertificates } = this.#host;
    const signal = AbortSignal.any([life, stop.signal]);
    const sender = this.#host.createSender(session);
    const runs = Promise.all([
      this.#guard(run, signal),
      this.#guard(sender.run(signal), signal),
      this.#guard(this.#watch(signal), signal),
      this.#guard(watchCertificates(settings, signal), signal),
    ]);
    this.#current = { settings, session, sender, stop, runs };
  }

  /** Delivers over another session, once that has proven itself. @throws TransientError why there is no proof */
  async swap(request: SwapRequest): Promise<void> {
    const { clock, onState, life } = this.#host;
    let before: SessionSettings | undefined;
    await swapUplink(
      {
        clock,
        begin: (changed) =>
          this.#begin(request.session, (state) => {
            changed(state);
            onState();
          }),
        stopOld: async () => {
          before = await this.#stop("The connection is replaced");
        },
        adopt: (proven) => {
          this.start(request.session, proven);
          onState();
        },
        restoreOld: () => {
          if (before !== undefined) {
            this.start(before);
          }
        },
        exclusively: (change) => this.#exclusively(change),
      },
      request,
      life,
    );
  }

  /** Ends the uplink, waits for `change`, and delivers again with the same settings; also when `change` fails. */
  async pausedFor(change: () => Promise<void>): Promise<void> {
    await this.#exclusively(async () => {
      const settings = await this.#stop("The event store changes");
      try {
        await change();
      } finally {
        if (settings !== undefined && !this.#host.life.aborted) {
          this.start(settings);
        }
      }
    });
  }

  #begin(settings: SessionSettings, onState: (state: Session["state"]) => void): RunningSession {
    const stop = new AbortController();
    const session: Session = this.#host.createSession(settings, () => onState(session.state));
    const run = session.run(AbortSignal.any([this.#host.life, stop.signal]));
    return { session, stop, run };
  }

  /** What has no PUBACK stays in the store. Returns the settings, `undefined` when there was no uplink. */
  async #stop(reason: string): Promise<SessionSettings | undefined> {
    const old = this.#current;
    old?.stop.abort(new TransientError(reason));
    await old?.runs;
    this.#current = undefined;
    this.#host.onState();
    return old?.settings;
  }

  /** One change at a time. */
  async #exclusively(change: () => Promise<void>): Promise<void> {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => undefined); // Whoever asked for the change hears of it.
    await done;
  }

  async #guard(run: Promise<unknown>, signal: AbortSignal): Promise<void> {
    try {
      await run;
    } catch (error) {
      if (!signal.aborted) {
        this.#host.failed(error);
      }
    }
  }

  /** What the watchdog has to know at this moment. */
  #progress(): Progress {
    const { clock, store, stamped } = this.#host;
    const { queued, acknowledged } = store.stats().ledger;
    const sender = this.#current?.sender.progress;
    return {
      nowMs: clock.monotonicMs(),
      queued,
      acknowledged,
      lastAckMs: sender?.lastAckMs,
      connected: this.#current?.session.isOpen ?? false,
      paused: stamped.isHeld || (sender?.paused ?? false),
    };
  }

  /** Looks whether values move, and renews what stands still. */
  async #watch(signal: AbortSignal): Promise<never> {
    const { clock, log } = this.#host;
    for (;;) {
      await clock.sleep(WATCH_EVERY_MS, signal);
      const progress = this.#progress();
      const step = this.#watchdog.check(progress);
      if (step !== undefined) {
        log.error("Values wait and none is acknowledged", { queued: progress.queued, step });
      }
      if (step === "reconnect") {
        this.#steps.reconnects += 1;
        const error = new TransientError("No value was acknowledged for a minute");
        this.#current?.session.abandon(error);
      } else if (step === "rebuild") {
        this.#steps.rebuilds += 1;
        this.#rebuildSoon();
      } else if (step === "restart") {
        throw new InvariantError("No value was acknowledged, over a new session too");
      }
    }
  }

  /** Replaces session and sender. Not awaited by the watch, which is part of what ends here. */
  #rebuildSoon(): void {
    const old = this.#current;
    this.#exclusively(async () => {
      if (old !== undefined && this.#current === old) {
        await this.#stop("The session is built anew");
        this.start(old.settings);
      }
    }).catch((error: unknown) => this.#host.failed(error));
  }
}
