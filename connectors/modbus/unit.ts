import type { ConnectorHost } from "#sdk/connector";
import { errorText, TransientError } from "#sdk/errors";
import type { Bus, Exchange } from "./bus.ts";
import { Changes } from "./changes.ts";
import type { ModbusReply, ModbusRequest } from "./client.ts";
import {
  exceptionText,
  isGatewaySilence,
  LineDown,
  ModbusException,
  NoAnswer,
} from "./failures.ts";
import type { Priority } from "./job-queue.ts";
import { AnswerWaits, type TalkSettings } from "./waits.ts";

/** A device of the platform that is behind a unit. */
export interface UnitDevice {
  readonly deviceName: string;
  readonly deviceType: string;
}

/** `unknown`: never heard. `suspect`: silent in the last cycle. `down`: only probed. */
export type UnitState = "unknown" | "up" | "suspect" | "down";

/** Pauses between two probes: 1 s, doubled to 27 s, jitter only downwards. */
const PROBE_FIRST_MS = 1000;
const PROBE_CEILING_MS = 27_000;
const JITTER = 0.1;
/** Pause before a busy device is asked again. */
const BUSY_MS = 200;

/** One unit on one line: how long to wait for it, how it is doing, and what the platform is told about that. */
export class Unit {
  readonly id: number;
  readonly bus: Bus;
  readonly devices: UnitDevice[] = [];
  /** Tells that the state or the connection of the line changed. */
  readonly changes = new Changes();
  readonly #host: ConnectorHost;
  #state: UnitState = "unknown";
  #failedCycles = 0;
  /** The platform has been told that it is connected. */
  #isAnnounced = false;
  #isDownByLine = false;
  readonly #waits: AnswerWaits;
  #announcing: Promise<void> = Promise.resolve();
  #talk: TalkSettings;
  /** The cheapest request that shows whether it is there; `undefined` while nothing can be read. */
  probeRequest: ModbusRequest | undefined;

  constructor(options: {
    readonly id: number;
    readonly bus: Bus;
    readonly host: ConnectorHost;
    readonly talk: TalkSettings;
  }) {
    this.id = options.id;
    this.bus = options.bus;
    this.#host = options.host;
    this.#talk = options.talk;
    this.#waits = new AnswerWaits(options.bus);
    options.bus.addUnit(options.id);
  }

  get state(): UnitState {
    return this.#state;
  }

  /** Whether reads and writes go to it; else only probes do. */
  get isPollable(): boolean {
    return this.bus.isConnected && this.#state !== "down";
  }

  /** A further device of this unit: the most patient settings count for probes and for how soon it is down. */
  addDevice(device: UnitDevice, talk: TalkSettings): void {
    this.devices.push(device);
    this.#talk = {
      ...this.#talk,
      timeoutMs: Math.max(this.#talk.timeoutMs, talk.timeoutMs),
      responseTimeoutMs: this.#talk.responseTimeoutMs ?? talk.responseTimeoutMs,
      failuresToDown: Math.max(this.#talk.failuresToDown, talk.failuresToDown),
    };
  }

  /** Resolves when it may be read again. Rejects with `signal.reason`. */
  async pollable(signal: AbortSignal): Promise<void> {
    while (!this.isPollable) {
      const waits = new AbortController();
      const stop = AbortSignal.any([signal, waits.signal]);
      try {
        await Promise.race([this.changes.next(stop), this.bus.changes.next(stop)]);
      } finally {
        waits.abort();
      }
    }
  }

  /**
   * Reads as part of a cycle. Repeated when no answer comes, each time behind the others that wait for the line, and when the
   * device is busy. @throws ModbusException, NoAnswer, LineDown
   */
  async read(
    request: ModbusRequest,
    talk: TalkSettings,
    signal: AbortSignal,
  ): Promise<ModbusReply> {
    // Who has never answered is not worth a repeat at the cost of the others.
    const isUnheard = this.#state === "unknown" && this.bus.isShared;
    return await this.#attempts(
      { retries: isUnheard ? 0 : talk.retries, isWorth: isWorthRepeating },
      signal,
      () => this.readOnce(request, talk, signal),
    );
  }

  /** Reads once, without repeats, in the place of a whole cycle. @throws as `read` */
  async readOnce(
    request: ModbusRequest,
    talk: TalkSettings,
    signal: AbortSignal,
  ): Promise<ModbusReply> {
    return await this.#turn("poll", talk, signal, (exchange) =>
      exchange(request, this.#waits.forRequest(request, talk)),
    );
  }

  /**
   * Runs a command in one turn on the line. Repeated as its kind allows: a read like any read, a write only when `retryWrites` says so.
   * A device that is down gets one try. @throws ModbusException, NoAnswer, LineDown, TransientError when it waited for too long
   */
  async command<T>(
    options: {
      readonly priority: Priority;
      readonly isWrite: boolean;
      readonly expiresMs: number;
      readonly talk: TalkSettings;
    },
    signal: AbortSignal,
    work: (send: (request: ModbusRequest) => Promise<ModbusReply>) => Promise<T>,
  ): Promise<T> {
    const { talk, isWrite, priority, expiresMs } = options;
    const isWorth = isWrite && !talk.retryWrites ? isBusy : isWorthRepeating;
    const retries = this.#state === "down" ? 0 : talk.retries;
    const deadline = this.#host.clock.deadline(expiresMs, signal);
    return await this.#attempts({ retries, isWorth }, deadline, () =>
      this.#turn(priority, { ...talk, expiresMs }, deadline, (exchange) =>
        work((request) =>
          exchange(request, Math.min(expiresMs, this.#waits.forRequest(request, talk))),
        ),
      ),
    );
  }

  /** A cycle has ended without an answer. */
  cycleFailed(): void {
    if (this.#state === "down") {
      return;
    }
    this.#failedCycles += 1;
    if (this.#state === "up") {
      this.#state = "suspect";
    }
    if (this.#failedCycles >= Math.max(2, this.#talk.failuresToDown)) {
      this.goDown("it does not answer");
    }
  }

  /** The device counts as gone: the platform is told once, and only probes are sent. */
  goDown(reason: string): void {
    this.#isDownByLine = false;
    if (this.#state === "down") {
      return;
    }
    this.#state = "down";
    for (const { deviceName } of this.devices) {
      this.#host.log.warn("Device is down", { device: deviceName, unit: this.id, because: reason });
      if (this.#isAnnounced) {
        this.#announce(() => this.#host.devices.disconnect(deviceName));
      }
    }
    this.#isAnnounced = false;
    this.changes.notify();
  }

  /** Its line cannot be connected. It is read again as soon as the line is there. */
  lineFailed(): void {
    if (this.#state !== "down") {
      this.goDown("its line has no connection");
      this.#isDownByLine = true;
    }
  }

  /** Its line is connected: whether the unit is there has to be found out again, unless it was down before. */
  lineConnected(): void {
    if (this.#isDownByLine) {
      this.#isDownByLine = false;
      this.#state = "unknown";
      this.#failedCycles = 0;
    }
    this.changes.notify();
  }

  /** Probes while it is down, until `signal` aborts; rejects with its reason. */
  async watch(signal: AbortSignal): Promise<void> {
    const { clock } = this.#host;
    for (;;) {
      await this.changes.until(() => this.#state === "down", signal);
      for (let attempt = 1; this.#isDown(); attempt += 1) {
        await clock.sleep(probePauseMs(attempt), signal);
        if (this.#isDown()) {
          await this.bus.changes.until(() => this.bus.isConnected, signal);
          await this.#probe(attempt, signal);
        }
      }
    }
  }

  /** Waits until the platform has been told about every change of state. */
  async settled(): Promise<void> {
    await this.#announcing;
  }

  #isDown(): boolean {
    return this.#state === "down";
  }

  async #probe(attempt: number, signal: AbortSignal): Promise<void> {
    const request = this.probeRequest;
    if (request === undefined) {
      // Nothing can be read: the next write is the probe.
      this.#state = "unknown";
      this.#failedCycles = 0;
      this.changes.notify();
      return;
    }
    try {
      const waitMs = this.#waits.forProbe(this.#talk, attempt);
      await this.#turn("probe", this.#talk, signal, (exchange) => exchange(request, waitMs));
    } catch (error) {
      signal.throwIfAborted();
      if (!isTalkFailure(error)) {
        throw error;
      }
    }
  }

  async #attempts<T>(
    policy: { readonly retries: number; readonly isWorth: (error: unknown) => boolean },
    signal: AbortSignal,
    attempt: () => Promise<T>,
  ): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await attempt();
      } catch (error) {
        if (tries >= policy.retries || !policy.isWorth(error)) {
          throw error;
        }
        this.#host.metrics.count("retries");
        if (error instanceof ModbusException) {
          await this.#host.clock.sleep(BUSY_MS, signal);
        }
      }
    }
  }

  async #turn<T>(
    priority: Priority,
    talk: TalkSettings & { readonly expiresMs?: number },
    signal: AbortSignal,
    work: (exchange: Exchange) => Promise<T>,
  ): Promise<T> {
    const options = {
      priority,
      delayMs: talk.delayMs,
      signal,
      ...(talk.expiresMs === undefined ? {} : { expiresMs: talk.expiresMs }),
    };
    try {
      return await this.bus.turn(options, (exchange) =>
        work(async (request, timeoutMs) => {
          const reply = await exchange(request, timeoutMs);
          this.#heard(reply, request);
          return reply;
        }),
      );
    } catch (error) {
      if (error instanceof ModbusException) {
        this.#host.metrics.count(`exception${error.code}`);
        if (!isGatewaySilence(error)) {
          this.#heard();
        }
      }
      throw error;
    }
  }

  /** Any valid answer proves that it is there, also an exception. */
  #heard(reply?: ModbusReply, request?: ModbusRequest): void {
    if (reply !== undefined && request !== undefined) {
      this.#waits.seen(reply, request);
    }
    this.#failedCycles = 0;
    if (this.#state === "up") {
      return;
    }
    const wasDown = this.#state === "down";
    this.#state = "up";
    for (const { deviceName, deviceType } of this.#isAnnounced ? [] : this.devices) {
      if (wasDown) {
        this.#host.log.info("Device is back", { device: deviceName, unit: this.id });
      }
      this.#announce(() => this.#host.devices.connect(deviceName, deviceType));
    }
    this.#isAnnounced = true;
    this.changes.notify();
  }

  /** In order, and never on the way of a reading. */
  #announce(tell: () => Promise<void>): void {
    this.#announcing = this.#announcing.then(tell).catch((error: unknown) => {
      this.#host.log.warn("Cannot tell the platform about a device", { error });
    });
  }
}

/** A failure of talking to a device, as against one of the program. */
export function isTalkFailure(error: unknown): error is Error {
  return (
    error instanceof ModbusException ||
    error instanceof NoAnswer ||
    error instanceof LineDown ||
    error instanceof TransientError
  );
}

/** No answer, also behind a gateway; busy, or not done yet. */
function isWorthRepeating(error: unknown): boolean {
  return (
    error instanceof NoAnswer ||
    (error instanceof ModbusException && [5, 6, 10, 11].includes(error.code))
  );
}

/** The device has not begun with it. */
function isBusy(error: unknown): boolean {
  return error instanceof ModbusException && error.code === 6;
}

function probePauseMs(attempt: number): number {
  const pauseMs = Math.min(PROBE_CEILING_MS, PROBE_FIRST_MS * 2 ** Math.min(attempt - 1, 10));
  return Math.round(pauseMs * (1 - JITTER * Math.random()));
}

/** A failure in the words of an answer to a command. */
export function failureText(error: unknown): string {
  return error instanceof ModbusException ? exceptionText(error.code) : errorText(error);
}
