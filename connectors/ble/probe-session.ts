import type { Clock } from "#sdk/clock";
import type { Finding } from "#sdk/connector";
import { RejectedError, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { Adapter } from "./adapter.ts";
import { adapterPlace } from "./adapter-place.ts";
import { normalAddress } from "./addresses.ts";
import { type Advertisement, readAdvertisement, signature } from "./advertisement.ts";
import { Changes } from "./changes.ts";
import type { PeripheralLink } from "./link.ts";
import { Loss } from "./loss.ts";
import { advertisementDetail, describeAdvertisement } from "./proposal.ts";
import { settle } from "./settle.ts";

/** Longest time to listen. */
export const MAX_SECONDS = 86_400;
/** Peripherals that are kept apart. */
const MAX_PERIPHERALS = 500;
const CONNECT_TIMEOUT_MS = 10_000;
/** A peripheral that changes what it says all the time is shown this often. */
const SHOW_AGAIN_MS = 1000;
/** What goes wrong is said once, as the end of the probe. */
const SILENT: Logger = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Who is around: what each one said last, and what of it has not been shown. */
export class Around {
  readonly clock: Clock;
  readonly #isWanted: (address: string) => boolean;
  readonly #peripherals = new Map<
    string,
    { advertisement: Advertisement; shown: string; shownMs: number }
  >();
  readonly #news = new Set<string>();

  constructor(clock: Clock, isWanted: (address: string) => boolean) {
    this.clock = clock;
    this.#isWanted = isWanted;
  }

  get size(): number {
    return this.#peripherals.size;
  }

  /** Takes one advertisement. */
  add(peripheral: NoblePeripheral): void {
    const address = peripheral.address.toUpperCase();
    if (!this.#isWanted(address)) {
      return;
    }
    const advertisement = readAdvertisement(peripheral);
    const known = this.#peripherals.get(address);
    if (known !== undefined) {
      known.advertisement = advertisement;
    } else if (this.#peripherals.size < MAX_PERIPHERALS) {
      const shownMs = Number.NEGATIVE_INFINITY;
      this.#peripherals.set(address, { advertisement, shown: "", shownMs });
    } else {
      return;
    }
    this.#news.add(address);
  }

  /** What is new since the last call. */
  *take(): Generator<Finding> {
    const nowMs = this.clock.monotonicMs();
    for (const address of this.#news) {
      const one = this.#peripherals.get(address);
      if (one === undefined || nowMs - one.shownMs < SHOW_AGAIN_MS) {
        continue;
      }
      this.#news.delete(address);
      const now = `new ${signature(one.advertisement)}`;
      if (now !== one.shown) {
        one.shown = now;
        one.shownMs = nowMs;
        yield {
          text: `${address}  ${describeAdvertisement(one.advertisement)}`,
          detail: advertisementDetail(address, one.advertisement),
        };
      }
    }
  }

  /** The last advertisement of each, the strongest first. */
  strongest(count: number): readonly (readonly [string, Advertisement])[] {
    return [...this.#peripherals]
      .map(([address, { advertisement }]) => [address, advertisement] as const)
      .toSorted(([, a], [, b]) => b.rssi - a.rssi)
      .slice(0, count);
  }
}

/** An adapter in use by a probe alone. */
export class ProbeSession implements AsyncDisposable {
  readonly #adapter: Adapter;
  readonly #stop: AbortController;
  readonly #running: Promise<unknown>;
  readonly #changes: Changes;
  readonly #clock: Clock;
  #problem: string | undefined = "starting";

  private constructor(adapter: Adapter, tools: { readonly clock: Clock; readonly log: Logger }) {
    this.#adapter = adapter;
    this.#clock = tools.clock;
    this.#stop = new AbortController();
    this.#changes = new Changes();
    adapter.join({
      clock: tools.clock,
      log: tools.log,
      changed: (problem) => {
        this.#problem = problem;
        this.#changes.notify();
      },
    });
    this.#running = adapter.run(this.#stop.signal).catch((error: unknown) => error);
  }

  /** Waits until the adapter is ready. @throws TransientError that says what to do, RejectedError for a name that is none */
  static async open(
    {
      name,
      passive,
      connects,
    }: {
      readonly name: string;
      readonly passive: boolean;
      readonly connects: boolean;
    },
    clock: Clock,
    signal: AbortSignal,
  ): Promise<ProbeSession> {
    const place = adapterPlace(name);
    if (place === undefined) {
      throw new RejectedError(
        `--adapter: "${name}" is no adapter: need hci0, tcp:host:port or serial:/dev/ttyS1@115200`,
      );
    }
    const settings = { windowMs: MAX_SECONDS * 1000, periodMs: 100, maxConnections: 1 };
    const adapter = new Adapter({ name, place, passive, connects, ...settings }, clock);
    const session = new ProbeSession(adapter, { clock, log: SILENT });
    try {
      await session.#ready(signal);
      return session;
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What is heard, as it comes. */
  async *listen(
    around: Around,
    { durationMs, untilFirst }: { readonly durationMs: number; readonly untilFirst: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<Finding> {
    const clock = around.clock;
    const endMs = clock.monotonicMs() + durationMs;
    using _observing = this.#adapter.observe((peripheral) => {
      around.add(peripheral);
      this.#changes.notify();
    });
    using _timer = clock.timer(durationMs, () => this.#changes.notify());
    const isOver = (): boolean => clock.monotonicMs() >= endMs || (untilFirst && around.size > 0);
    while (!isOver()) {
      this.#throwProblem();
      yield* around.take();
      await this.#changes.next(signal);
    }
    yield* around.take();
  }

  /** Waits for a sighting, and connects. @throws TransientError */
  async connect(address: string, signal: AbortSignal): Promise<PeripheralLink> {
    const normal = normalAddress(address);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    using _listening = this.#adapter.listen({
      address: normal,
      wantsScan: () => true,
      seen: () => resolve(undefined),
    });
    const limit = { timeoutMs: CONNECT_TIMEOUT_MS, action: "hear the peripheral again" };
    await settle(promise, { ...limit, clock: this.#clock, lost: new Loss() }, signal);
    return await this.#adapter.connect(
      { address: normal, timeoutMs: CONNECT_TIMEOUT_MS, failedMs: 0 },
      signal,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the probe is over"));
    await this.#running;
  }

  async #ready(signal: AbortSignal): Promise<void> {
    while (this.#problem === "starting") {
      await this.#changes.next(signal);
    }
    this.#throwProblem();
  }

  #throwProblem(): void {
    if (this.#problem !== undefined && this.#problem !== "starting") {
      throw new TransientError(this.#problem);
    }
  }
}
