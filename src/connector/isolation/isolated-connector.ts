import { collectGarbage, residentBytes } from "#platform/memory";
import { startThread } from "#platform/thread";
import { type Clock, systemClock } from "#sdk/clock";
import type { Connector, ConnectorHost } from "#sdk/connector";
import { errorText, TransientError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import type { LogLevel } from "#sdk/logger";
import type { Json } from "#sdk/model";
import type { End, Lookup } from "../../extension/uses.ts";
import { HostServer } from "./host-server.ts";
import {
  type ExtensionFolders,
  type FromThread,
  HANDLERS,
  type Handler,
  type IsolatedSource,
  type TimeBase,
  type ToThread,
} from "./port.ts";
import { PortQueue } from "./port-queue.ts";
import { type PulseLimits, PulseMonitor, pulseMemory } from "./pulse.ts";
import { Answers, Questions, reasonText } from "./questions.ts";
import { exactText, fromWireError } from "./wire.ts";

/** A thread that shows no life for a minute, or takes more memory, is ended. */
const LIMITS: PulseLimits = { silentMs: 60_000, memoryBytes: 256 * 1024 * 1024 };
/** How long the connector has to dispose itself, and its thread to end. */
const DISPOSE_MS = 4000;
const END_MS = 5000;
/** How long others wait for what a connector in this thread would say at once. */
const SOON_MS = 1000;
/** Two clocks that differ by less show the same time. */
const SAME_TIME_MS = 1000;

/** What an isolated connector needs besides its host. */
export interface IsolationOptions {
  readonly source: IsolatedSource;
  /** Its directory; made when it is first asked for. */
  readonly dataDir: string;
  /** From which level on its lines exist; may change. */
  readonly level: () => LogLevel;
  readonly clock: Clock;
  /** Aborts when the instance is over: the thread ends then, whatever it does. */
  readonly signal: AbortSignal;
  readonly limits?: PulseLimits | undefined;
  /** Where its definition and its converters may be. Default: only inside the program. */
  readonly extensions?: ExtensionFolders | undefined;
  /** Told of each search for a converter among them. */
  readonly onLookup?: ((lookup: Lookup, end: End) => void) | undefined;
}

/**
 * Creates a connector in a thread of its own; what is returned stands for it here. A thread that fails, hangs or takes too much memory ends
 * `run` with an error and disturbs nobody else. @throws what `create` throws there, and why the thread cannot go on
 */
export async function createIsolated(
  host: ConnectorHost,
  options: IsolationOptions,
): Promise<Connector> {
  const thread = new IsolatedThread(host, options);
  return thread.connector(await thread.create());
}

/** Messages about the life of an instance. */
type Stage = "created" | "not-created" | "ended" | "stray" | "disposed";

/** One thread with one connector, seen from the collection thread. */
class IsolatedThread {
  readonly #host: ConnectorHost;
  readonly #options: IsolationOptions;
  readonly #worker: Worker;
  readonly #queue: PortQueue<ToThread>;
  readonly #server: HostServer;
  readonly #questions: Questions;
  readonly #answers: Answers;
  readonly #monitor: PulseMonitor;
  readonly #memory = pulseMemory();
  readonly #devicePort: MessagePort;
  readonly #created = Promise.withResolvers<readonly Handler[]>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #disposed = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  #level: LogLevel;
  #time: TimeBase;
  #isOver = false;

  constructor(host: ConnectorHost, options: IsolationOptions) {
    this.#host = host;
    this.#options = options;
    for (const { promise } of [this.#created, this.#ended]) {
      promise.catch(() => undefined); // Whoever waits for it hears of it.
    }
    this.#level = options.level();
    this.#time = timeBase(host.clock);
    this.#worker = startThread("src/extension/isolate.ts");
    this.#queue = new PortQueue((messages) => {
      if (!this.#isOver) {
        this.#worker.postMessage(messages);
      }
    });
    this.#server = new HostServer(host, this.#queue);
    this.#questions = new Questions((cancel) => this.#queue.push(cancel));
    this.#answers = new Answers((answer) => this.#queue.push(answer));
    this.#listen();
    this.#devicePort = this.#start();
    this.#monitor = new PulseMonitor(this.#memory, {
      clock: options.clock,
      limits: options.limits ?? LIMITS,
      residentBytes,
      onLook: () => this.#look(),
      onProblem: (problem) => this.#fail(new Error(`Its thread was ended: ${problem}`)),
    });
    const { signal } = options;
    signal.addEventListener("abort", () => this.#fail(signal.reason), { once: true });
  }

  /** Resolves with the handlers that the connector has. */
  async create(): Promise<readonly Handler[]> {
    try {
      return await this.#created.promise;
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  connector(handlers: readonly Handler[]): Connector {
    const has = new Set<Handler>(handlers);
    const ask = async (
      handler: Handler,
      argument: unknown,
      signal: AbortSignal,
    ): Promise<Json | undefined> => {
      const text = exactText(argument);
      const send = (id: number): void =>
        this.#queue.push({ type: "call", id, handler, argument: text });
      const value = await this.#questions.ask(send, signal);
      return value === undefined ? undefined : readJson(value);
    };
    const all: Required<Pick<Connector, Handler>> = {
      handleRpc: (request, signal) => ask("handleRpc", request, signal),
      handleConnectorRpc: (request, signal) => ask("handleConnectorRpc", request, signal),
      handleAttributes: async (update, signal) => {
        await ask("handleAttributes", update, signal);
      },
      sharedAttributeKeys: async (deviceName) =>
        keysOf(await this.#soon((signal) => ask("sharedAttributeKeys", deviceName, signal))),
      rpcTimeoutMs: async (request) => {
        const timeoutMs = await this.#soon((signal) => ask("rpcTimeoutMs", request, signal));
        return typeof timeoutMs === "number" ? timeoutMs : undefined;
      },
    };
    return {
      run: (signal) => this.#run(signal),
      ...Object.fromEntries(
        HANDLERS.filter((handler) => has.has(handler)).map((handler) => [handler, all[handler]]),
      ),
      [Symbol.asyncDispose]: () => this.#dispose(),
    };
  }

  /** For what a connector says at once: others wait for it. @throws TransientError when it does not */
  async #soon<Result>(question: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const late = Promise.withResolvers<never>();
    using _timer = this.#options.clock.timer(SOON_MS, () =>
      late.reject(
        new TransientError(`The connector's thread does not answer within ${SOON_MS} ms`),
      ),
    );
    return await Promise.race([question(this.#options.signal), late.promise]);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const onAbort = (): void =>
      this.#queue.push({ type: "stop", reason: reasonText(signal.reason) });
    this.#queue.push({ type: "run" });
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) {
      onAbort();
    }
    try {
      await this.#ended.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #dispose(): Promise<void> {
    if (!this.#isOver) {
      this.#queue.push({ type: "dispose" });
      const late = Promise.withResolvers<void>();
      using _timer = this.#options.clock.timer(DISPOSE_MS, () => {
        this.#host.log.warn("The connector does not stop in time: its thread is ended");
        late.resolve();
      });
      await Promise.race([this.#disposed.promise, this.#closed.promise, late.promise]);
    }
    await this.#end();
  }

  #listen(): void {
    this.#worker.addEventListener("message", (event: MessageEvent<readonly FromThread[]>) => {
      try {
        for (const message of event.data) {
          this.#receive(message);
        }
      } catch (error) {
        // The connector itself may have sent it.
        this.#fail(new Error(`Its thread has sent what cannot be understood: ${errorText(error)}`));
      }
    });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#fail(new Error(`Its thread has failed: ${event.message}`));
    });
    this.#worker.addEventListener("close", () => {
      this.#closed.resolve();
      this.#fail(new Error("Its thread has ended by itself"));
    });
  }

  #start(): MessagePort {
    const { dataDir, source } = this.#options;
    const { id, name, type, platform } = this.#host;
    const { port1, port2 } = new MessageChannel();
    const flag = new SharedArrayBuffer(4);
    const answered = new Int32Array(flag);
    port1.addEventListener("message", () => {
      port1.postMessage(this.#isOver ? [] : this.#server.devices());
      Atomics.store(answered, 0, 1);
      Atomics.notify(answered, 0);
    });
    port1.start();
    const start: ToThread = {
      type: "start",
      id,
      name,
      connectorType: type,
      origin: source.origin,
      extensions: this.#options.extensions ?? { roots: [], allowInsecure: false },
      input: exactText(source.input),
      dataDir,
      level: this.#level,
      isConnected: platform.connected,
      time: this.#time,
      pulse: this.#memory,
      devices: { port: port2, flag },
    };
    this.#worker.postMessage([start], [port2]);
    return port1;
  }

  #receive(message: FromThread): void {
    if (this.#isOver) {
      return;
    }
    switch (message.type) {
      case "created":
        this.#created.resolve(message.handlers);
        break;
      case "not-created":
        this.#fail(fromWireError(message.error));
        break;
      case "ended":
        this.#settleRun(message.error === undefined ? undefined : fromWireError(message.error));
        break;
      case "stray":
        this.#stray(fromWireError(message.error));
        break;
      case "disposed":
        this.#disposed.resolve();
        break;
      default:
        this.#exchange(message);
    }
  }

  #exchange(message: Exclude<FromThread, { readonly type: Stage }>): void {
    switch (message.type) {
      case "ask":
        this.#answers.give(message.id, (signal) => this.#server.answer(message.request, signal));
        break;
      case "answer":
        this.#questions.settle(message);
        break;
      case "cancel":
        this.#answers.cancel(message);
        break;
      case "looked-up":
        this.#options.onLookup?.(message.lookup, message.end);
        break;
      default:
        this.#server.take(message);
    }
  }

  #settleRun(error: Error | undefined): void {
    if (error === undefined) {
      this.#ended.resolve();
    } else {
      this.#ended.reject(error);
    }
  }

  /** The instance cannot be trusted any more; its thread still can dispose it. */
  #stray(error: Error): void {
    this.#created.reject(error);
    this.#ended.reject(error);
  }

  /** Says to a thread that lives what may have changed. */
  #look(): void {
    const level = this.#options.level();
    if (level !== this.#level) {
      this.#level = level;
      this.#queue.push({ type: "level", level });
    }
    const time = timeBase(this.#host.clock);
    if ((time === undefined) !== (this.#time === undefined)) {
      this.#queue.push({ type: "time", time });
    }
    this.#time = time;
  }

  /** The thread is of no use any more: ends it, and everybody who waits for it hears why. */
  #fail(error: unknown): void {
    if (this.#isOver) {
      return;
    }
    this.#isOver = true;
    this.#monitor[Symbol.dispose]();
    this.#server[Symbol.dispose]();
    this.#devicePort.close();
    this.#created.reject(error);
    this.#ended.reject(error);
    this.#questions.fail(new TransientError("The connector's thread is gone", { cause: error }));
    this.#answers.end("The connector's thread is gone");
    this.#worker.terminate();
  }

  /** Resolves when the thread is gone and its memory is free. */
  async #end(): Promise<void> {
    this.#fail(new TransientError("The connector has stopped"));
    const late = Promise.withResolvers<void>();
    using _timer = this.#options.clock.timer(END_MS, () => {
      this.#host.log.error("The connector's thread does not end: it goes on using the processor");
      late.resolve();
    });
    await Promise.race([this.#closed.promise, late.promise]);
    collectGarbage(); // The memory of a thread is given back when this one lets go of it.
  }
}

/** The time of a host whose clock is not the operating system's. */
function timeBase(clock: Clock): TimeBase {
  const time = clock.now();
  return Math.abs(time - systemClock.now()) < SAME_TIME_MS ? undefined : time;
}

function keysOf(answer: Json | undefined): readonly string[] | "*" | undefined {
  if (Array.isArray(answer)) {
    return answer.map(String);
  }
  return answer === "*" ? answer : undefined;
}
