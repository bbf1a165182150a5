import type {
  CallMethodRequestOptions,
  CallMethodResult,
  ClientSession,
  ClientSessionRawSubscriptionService,
  DataValue,
  MonitoredItemCreateRequestOptions,
  MonitoredItemCreateResult,
  NodeId,
  OPCUAClient,
  ReadValueIdOptions,
  StatusCode,
  WriteValueOptions,
} from "node-opcua-client";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { Batcher } from "./batcher.ts";
import { type Child, childrenOf } from "./browse.ts";
import {
  endsSession,
  isTooLarge,
  NoAnswer,
  openFailure,
  SessionLost,
  toFailure,
} from "./failures.ts";
import type { Library } from "./library.ts";
import { type Operation, OperationLimits, partsOf } from "./limits.ts";
import { monitoringOf } from "./monitoring.ts";
import type { ChannelSecurity } from "./security.ts";
import { readServerState } from "./server-state.ts";
import { type CallLimit, WaitingCalls } from "./waiting-calls.ts";
import { withoutRepair } from "./without-repair.ts";

/** How a session is opened. */
export interface SessionSettings {
  readonly url: string;
  readonly user: { readonly name: string; readonly password: string } | undefined;
  readonly security: ChannelSecurity;
  readonly timeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly name: string;
  /** A session whose connection was lost: the server may still have it, with its subscriptions. */
  readonly kept?: ClientSession | undefined;
}

/** What a session needs of its surroundings. */
export interface SessionTools {
  readonly library: Library;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Longest time for the connection: several requests, and much arithmetic on a small board. */
const CONNECT_TIMEOUTS = 4;
const MIN_CONNECT_MS = 10_000;
/** At the end: time for saying goodbye. */
const GOODBYE_MS = 1000;
/** Requests of one kind that are on their way at the same time. */
const MAX_IN_FLIGHT = 2;

/** One session with a server, from its opening to its loss. Calls end with it; what the server keeps of it may be taken up by the next one. */
export class ServerSession implements AsyncDisposable {
  readonly library: Library;
  readonly limits = new OperationLimits();
  readonly #client: OPCUAClient;
  readonly #settings: Omit<SessionSettings, "kept">;
  /** Only until the session is open: else each session would keep all that were before it. */
  #kept: ClientSession | undefined;
  readonly #calls: WaitingCalls;
  readonly #browses = new Batcher<NodeId, readonly Child[]>(
    (nodes) => childrenOf(this, nodes),
    () => this.limits.of("browse"),
  );
  readonly #reads = new Batcher<ReadValueIdOptions, DataValue>(
    (nodes) => this.read(nodes),
    () => this.limits.of("read"),
  );
  #session: ClientSession | undefined;
  #isResumed = false;
  #isDone = false;
  #undecodable = Promise.withResolvers<void>();
  #namespaces: readonly string[] = [];

  private constructor({ kept, ...settings }: SessionSettings, tools: SessionTools) {
    const { library } = tools;
    this.library = library;
    this.#settings = settings;
    this.#kept = kept;
    this.#calls = new WaitingCalls(tools.clock);
    this.#client = library.OPCUAClient.create({
      applicationName: "tbgw",
      applicationUri: settings.security.applicationUri,
      clientName: settings.name,
      endpointMustExist: false,
      securityMode: settings.security.mode,
      securityPolicy: settings.security.policy,
      certificateKeyPairProvider: settings.security.provider,
      clientCertificateManager: settings.security.store,
      ...(settings.security.serverCertificate === undefined
        ? {}
        : { serverCertificate: settings.security.serverCertificate }),
      requestedSessionTimeout: settings.sessionTimeoutMs,
      defaultTransactionTimeout: settings.timeoutMs,
      transportTimeout: Math.max(settings.timeoutMs, 1000),
      keepSessionAlive: false,
      // What is left on the server may be taken up again; a session that ends well is closed before.
      keepPendingSessionsOnDisconnect: true,
      // We connect again by ourselves: nothing is queued meanwhile, and nothing old is repeated afterwards.
      connectionStrategy: { maxRetry: 0, initialDelay: 1000, maxDelay: 1000 },
    });
  }

  /** Connects, opens a session and asks the server what it can. @throws TransientError, RejectedError on refused credentials */
  static async open(
    settings: SessionSettings,
    tools: SessionTools,
    signal: AbortSignal,
  ): Promise<ServerSession> {
    const session = new ServerSession(settings, tools);
    try {
      await session.#open(signal);
      return session;
    } catch (error) {
      if (session.#isResumed) {
        session.lose("The session could not be used"); // So that the server keeps it.
      }
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Rejects when the session is lost. */
  get lost(): Promise<never> {
    return this.#calls.lost;
  }

  /** Ends the session because of what somebody has found out. */
  lose(reason: string): void {
    this.#calls.lose(new SessionLost(reason));
  }

  /** Changes have come that cannot be decoded. */
  noteUndecodable(): void {
    this.#undecodable.resolve();
  }

  /** Resolves when changes have come that cannot be decoded, since the last time. */
  async undecodable(): Promise<void> {
    await this.#undecodable.promise;
    this.#undecodable = Promise.withResolvers();
  }

  /** Nobody takes this session up again: it is closed, although its calls have ended. */
  finish(): void {
    this.#isDone = true;
  }

  /** What the server keeps the session for without a sign of life. */
  get timeoutMs(): number {
    return this.#session?.timeout ?? this.#settings.sessionTimeoutMs;
  }

  /** The stack's own session, for what it does by itself: subscriptions, types. */
  get raw(): ClientSession {
    if (this.#session === undefined) {
      throw new SessionLost("The session is not open");
    }
    return this.#session;
  }

  /** The services for monitored items, which the stack's own type leaves out. */
  rawService(): ClientSessionRawSubscriptionService {
    return monitoringOf(this.raw);
  }

  /** Whether the server still had the session that was lost. */
  get isResumed(): boolean {
    return this.#isResumed;
  }

  /** URIs of the namespaces, by their index. */
  get namespaces(): readonly string[] {
    return this.#namespaces;
  }

  /**
   * One call of the stack, with a deadline of its own.
   * @throws ServiceFault when the server refuses, NoAnswer, SessionLost; rejects with `signal.reason`
   */
  async call<T>(
    what: string,
    start: (session: ClientSession) => Promise<T>,
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    const session = this.raw;
    options.signal?.throwIfAborted();
    const timeoutMs = options.timeoutMs ?? this.#settings.timeoutMs;
    const text = `The server did not answer ${what} within ${timeoutMs} ms`;
    try {
      return await this.#calls.race(start(session), {
        timeoutMs,
        late: () => new NoAnswer(text),
        signal: options.signal,
      });
    } catch (error) {
      options.signal?.throwIfAborted();
      const failure = toFailure(error, what);
      if (endsSession(failure)) {
        this.lose(failure.message);
      }
      throw failure;
    }
  }

  /** Values or attributes of many nodes, in order, whatever the limits of the server. What cannot be decoded is Bad. */
  async read(nodes: readonly ReadValueIdOptions[], signal?: AbortSignal): Promise<DataValue[]> {
    const run = (part: readonly ReadValueIdOptions[]): Promise<DataValue[]> =>
      this.call("a read", (session) => session.read([...part], 0), { signal });
    const undecodable = (): DataValue =>
      new this.library.DataValue({ statusCode: this.library.StatusCodes.BadDecodingError });
    return await this.many("read", nodes, run, undecodable);
  }

  /** One value or attribute; those that are asked for at the same moment go together. */
  async readOne(node: ReadValueIdOptions): Promise<DataValue> {
    return await this.#reads.ask(node);
  }

  /** The children of one node; those that are asked for at the same moment go together. */
  async children(node: NodeId): Promise<readonly Child[]> {
    return await this.#browses.ask(node);
  }

  async write(
    values: readonly WriteValueOptions[],
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<StatusCode[]> {
    return await this.many("write", values, (part) =>
      this.call("a write", (session) => session.write([...part]), { signal, timeoutMs }),
    );
  }

  async callMethod(
    request: CallMethodRequestOptions,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<CallMethodResult> {
    return await this.call("a method call", (session) => session.call(request), {
      signal,
      timeoutMs,
    });
  }

  /** Creates monitored items; the answers are in order. */
  async monitor(
    subscriptionId: number,
    items: readonly MonitoredItemCreateRequestOptions[],
    mostPerCall: number,
  ): Promise<MonitoredItemCreateResult[]> {
    this.limits.state("monitor", mostPerCall);
    return await this.many("monitor", items, (part) =>
      this.call("the creation of monitored items", async () => {
        const { results } = await this.rawService().createMonitoredItems({
          subscriptionId,
          timestampsToReturn: this.library.TimestampsToReturn.Both,
          itemsToCreate: [...part],
        });
        return results ?? [];
      }),
    );
  }

  /** Runs requests for many operations within the limits; what is too large is cut in two. `single` answers one operation that fails by itself. */
  async many<I, O>(
    operation: Operation,
    items: readonly I[],
    run: (part: readonly I[]) => Promise<O[]>,
    single?: () => O,
  ): Promise<O[]> {
    const parts = [...partsOf(items, this.limits.of(operation))].entries();
    const results: O[][] = [];
    const work = async (): Promise<void> => {
      for (const [index, part] of parts) {
        results[index] = await this.#part(operation, part, run, single);
      }
    };
    await Promise.all(Array.from({ length: MAX_IN_FLIGHT }, work));
    return results.flat();
  }

  async #part<I, O>(
    operation: Operation,
    part: readonly I[],
    run: (part: readonly I[]) => Promise<O[]>,
    single: (() => O) | undefined,
  ): Promise<O[]> {
    try {
      const results = await run(part);
      if (results.length !== part.length) {
        throw new TransientError(`${part.length} operations have ${results.length} results`);
      }
      return results;
    } catch (error) {
      const isTooMuch = isTooLarge(error);
      const isOdd = error instanceof TransientError && single !== undefined;
      if (isTooMuch) {
        this.limits.shrink(operation, part.length);
      }
      if (isOdd && part.length === 1) {
        return [single()];
      }
      if (part.length === 1 || !(isTooMuch || isOdd)) {
        throw error;
      }
      const middle = Math.ceil(part.length / 2);
      const first = await this.#part(operation, part.slice(0, middle), run, single);
      return [...first, ...(await this.#part(operation, part.slice(middle), run, single))];
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const isLeft = this.#calls.isLost && !this.#isDone;
    const session = isLeft ? undefined : this.#session;
    this.#calls.lose(new SessionLost("The session was closed"));
    const goodbye = async (): Promise<void> => {
      await session?.close(true);
      await this.#client.disconnect();
    };
    await this.#calls.within(
      goodbye().catch(() => undefined),
      GOODBYE_MS,
    );
  }

  async #open(signal: AbortSignal): Promise<void> {
    const { url, timeoutMs } = this.#settings;
    const totalMs = Math.max(CONNECT_TIMEOUTS * timeoutMs, MIN_CONNECT_MS);
    const limit = {
      timeoutMs: totalMs,
      late: () => new NoAnswer(`No session within ${totalMs} ms`),
    };
    // Without a listener the stack's errors would end the process.
    this.#client.on("connection_lost", () => this.lose("The connection was lost"));
    this.#client.on("close", () => this.lose("The connection was closed"));
    try {
      await this.#calls.race(this.#client.connect(url), { ...limit, signal });
      const session = (await this.#resume(limit, signal)) ?? (await this.#create(limit, signal));
      session.removeAllListeners("session_closed");
      session.removeAllListeners("error"); // Both of the connections it had before.
      session.on("session_closed", () => this.lose("The server closed the session"));
      session.on("error", () => undefined);
      withoutRepair(session, {
        lost: (reason) => this.lose(reason),
        undecodable: () => this.noteUndecodable(),
      });
      this.#session = session;
    } catch (error) {
      signal.throwIfAborted();
      throw openFailure(error);
    }
    this.#namespaces = await readServerState(this);
  }

  /** The session that was lost, if the server still has it (OPC UA Part 4 §6.7). */
  async #resume(limit: CallLimit, signal: AbortSignal): Promise<ClientSession | undefined> {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept === undefined) {
      return undefined;
    }
    try {
      await this.#calls.race(this.#client.reactivateSession(kept), { ...limit, signal });
      this.#isResumed = true;
      return kept;
    } catch (error) {
      signal.throwIfAborted();
      if (this.#calls.isLost || error instanceof NoAnswer) {
        throw error;
      }
      return undefined;
    }
  }

  async #create(limit: CallLimit, signal: AbortSignal): Promise<ClientSession> {
    const { user } = this.#settings;
    const { UserTokenType } = this.library;
    const identity =
      user === undefined
        ? ({ type: UserTokenType.Anonymous } as const)
        : ({
            type: UserTokenType.UserName,
            userName: user.name,
            password: user.password,
          } as const);
    return await this.#calls.race(this.#client.createSession(identity), { ...limit, signal });
  }
}
