import { backoffMs, DEFAULT_RETRY, REFUSED_RETRY_MS, STABLE_AFTER_MS } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { errorText, RejectedError, TransientError } from "./errors.ts";
import type { Logger } from "./logger.ts";

/** A link that is kept alive. */
export interface Link {
  /** What it leads to, for the log: `broker 10.0.0.5:1883`. */
  readonly name: string;
  readonly host: { readonly clock: Clock; readonly log: Logger };
  /** From the configuration's delay keys: the first pause, the factor, and a ceiling below 20 s. */
  readonly retry?: {
    readonly firstMs?: number;
    readonly factor?: number;
    readonly ceilingMs?: number;
  };
  /** Nobody has to be told that it is up for the first time. Default: false. */
  readonly isInternal?: boolean;
  /** Opens the link, calls `healthy` once it is up, and returns or throws when it is lost. */
  run(signal: AbortSignal, healthy: () => void): Promise<void>;
  /** Told how long the pause before the next `run` will be, each time one begins. Must not throw. */
  paused?(delayMs: number): void;
}

/** What the log has said about a link that is down, so that it says each cause once. */
interface Reported {
  readonly sinceMs: number;
  /** Causes, the oldest first, with the time each was said. */
  readonly saidMs: Map<string, number>;
}

/** Causes that are remembered; some links fail in two or three ways by turns. */
const MAX_CAUSES = 8;

/** A link that stays down is said again after this long. */
const REMIND_MS = 3_600_000;

/**
 * Keeps one link alive: calls `run` again and again until `signal` aborts, then rejects with its reason. Pauses 1 s × 2 → 20 s,
 * jitter only downwards, from the start again after 60 s up. `retryAfterMs` of a TransientError goes before; a RejectedError
 * (bad credentials) waits 60 s. Each cause is said once, then hourly. Anything but these two errors is thrown on.
 */
export async function supervise(link: Link, signal: AbortSignal): Promise<never> {
  const { clock } = link.host;
  const policy = { ...DEFAULT_RETRY, ...link.retry };
  const reporter = new LinkReporter(link);
  let attempt = 0;
  for (;;) {
    signal.throwIfAborted();
    let upAtMs: number | undefined;
    let error: TransientError | RejectedError | undefined;
    try {
      await link.run(signal, () => {
        if (upAtMs === undefined) {
          upAtMs = clock.monotonicMs();
          reporter.up();
        }
      });
    } catch (caught) {
      signal.throwIfAborted();
      if (!(caught instanceof TransientError || caught instanceof RejectedError)) {
        throw caught;
      }
      error = caught;
    }
    signal.throwIfAborted();
    if (upAtMs !== undefined && clock.monotonicMs() - upAtMs >= STABLE_AFTER_MS) {
      attempt = 0;
    }
    attempt += 1;
    const delayMs = pauseMs(error, backoffMs(attempt, Math.random(), policy));
    reporter.down(error, delayMs);
    link.paused?.(delayMs);
    await clock.sleep(delayMs, signal);
  }
}

/** The pause an error asks for, else the one of the policy. */
function pauseMs(error: TransientError | RejectedError | undefined, policyMs: number): number {
  if (error instanceof RejectedError) {
    return REFUSED_RETRY_MS;
  }
  return error?.retryAfterMs ?? policyMs;
}

/** Says changes of a link: lost (with the cause), another cause, still lost after an hour, back. */
class LinkReporter {
  readonly #link: Link;
  #down: Reported | undefined;

  constructor(link: Link) {
    this.#link = link;
  }

  up(): void {
    const { clock, log } = this.#link.host;
    if (this.#down === undefined) {
      if (this.#link.isInternal !== true) {
        log.info("Link is up", { link: this.#link.name });
      }
      return;
    }
    const afterS = Math.round((clock.monotonicMs() - this.#down.sinceMs) / 1000);
    log.info("Link is up again", { link: this.#link.name, afterSeconds: afterS });
    this.#down = undefined;
  }

  down(error: Error | undefined, delayMs: number): void {
    const { clock, log } = this.#link.host;
    const text = error === undefined ? "closed by the peer" : errorText(error);
    const nowMs = clock.monotonicMs();
    const fields = { link: this.#link.name, error: text, retryInMs: delayMs };
    this.#down ??= { sinceMs: nowMs, saidMs: new Map() };
    const { saidMs } = this.#down;
    if (nowMs - (saidMs.get(text) ?? Number.NEGATIVE_INFINITY) < REMIND_MS) {
      log.debug("Link is still down", fields);
      return;
    }
    if (error instanceof RejectedError || delayMs >= REFUSED_RETRY_MS) {
      log.error("Link is refused by the peer", fields);
    } else {
      log.warn("Link is down", fields);
    }
    saidMs.delete(text);
    saidMs.set(text, nowMs);
    for (const oldest of saidMs.keys()) {
      if (saidMs.size <= MAX_CAUSES) {
        break;
      }
      saidMs.delete(oldest);
    }
  }
}
