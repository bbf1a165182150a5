import { collectAfterStart, heapBytes } from "#platform/memory";
import { type Clock, systemClock } from "#sdk/clock";
import type { Connector } from "#sdk/connector";
import { textOf } from "#sdk/encode";
import { TransientError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import {
  type AttributeUpdate,
  epochMs,
  Float,
  isJsonObject,
  type Json,
  type RpcRequest,
  type Values,
} from "#sdk/model";
import { checkConfig } from "../../config/schema-check.ts";
import { checkedConnector } from "../checked-connector.ts";
import { findDefinition } from "./origin.ts";
import {
  type FromThread,
  HANDLERS,
  type Handler,
  type StartRequest,
  type TimeBase,
  type ToThread,
} from "./port.ts";
import type { PortQueue } from "./port-queue.ts";
import { Pulse } from "./pulse.ts";
import { Answers, Questions } from "./questions.ts";
import { ThreadHost } from "./thread-host.ts";
import { exactText, toWireError } from "./wire.ts";

/** One connector in a thread of its own: from `create` to dispose. The collection thread ends the thread afterwards. */
export class ConnectorThread {
  readonly #queue: PortQueue<FromThread>;
  readonly #time = new ThreadClock();
  readonly #life = new AbortController();
  readonly #questions: Questions;
  readonly #answers: Answers;
  #host: ThreadHost | undefined;
  #connector: Connector | undefined;

  constructor(queue: PortQueue<FromThread>) {
    this.#queue = queue;
    this.#questions = new Questions((cancel) => queue.push(cancel));
    this.#answers = new Answers((answer) => queue.push(answer));
  }

  /** Takes a message of the collection thread. @throws what a listener of the connector throws */
  handle(message: ToThread): void {
    switch (message.type) {
      case "start":
        this.#begin(message);
        break;
      case "run":
        this.#run();
        break;
      case "stop":
        this.#life.abort(new TransientError(message.reason));
        break;
      case "dispose":
        this.#dispose();
        break;
      case "call":
        this.#answers.give(message.id, (signal) =>
          this.#call(message.handler, readJson(message.argument), signal),
        );
        break;
      default:
        this.#note(message);
    }
  }

  #note(message: Exclude<ToThread, { type: "start" | "run" | "stop" | "dispose" | "call" }>): void {
    switch (message.type) {
      case "answer":
        this.#questions.settle(message);
        break;
      case "cancel":
        this.#answers.cancel(message);
        break;
      case "time":
        this.#time.base = message.time;
        break;
      default:
        this.#host?.take(message);
    }
  }

  #begin(start: StartRequest): void {
    this.#time.base = start.time;
    const pulse = new Pulse(start.pulse, systemClock, heapBytes);
    const host = new ThreadHost({
      start,
      clock: this.#time.clock,
      post: (message) => this.#queue.push(message),
      flush: () => this.#queue.flush(),
      ask: (request, signal) =>
        this.#questions.ask((id) => this.#queue.push({ type: "ask", id, request }), signal),
      at: (converter) => pulse.at(converter),
    });
    this.#host = host;
    this.#create(start, host).then(
      (connector) => {
        this.#connector = connector;
        const handlers = HANDLERS.filter((handler) => connector[handler] !== undefined);
        this.#queue.push({ type: "created", handlers });
        collectAfterStart(systemClock);
      },
      (error: unknown) => this.#queue.push({ type: "not-created", error: toWireError(error) }),
    );
  }

  async #create(start: StartRequest, { host, catalogue }: ThreadHost): Promise<Connector> {
    const definition = await findDefinition(start, catalogue);
    const config = checkConfig(definition.schema, readJson(start.input), start.name);
    return checkedConnector(await definition.create(config, host), start.name);
  }

  #run(): void {
    const running = async (): Promise<void> => await this.#connector?.run(this.#life.signal);
    running().then(
      () => this.#queue.push({ type: "ended", error: undefined }),
      (error: unknown) => this.#queue.push({ type: "ended", error: toWireError(error) }),
    );
  }

  #dispose(): void {
    this.#life.abort(new TransientError("The connector is disposed"));
    this.#answers.end("The connector is disposed");
    const disposing = async (): Promise<void> => await this.#connector?.[Symbol.asyncDispose]();
    disposing()
      .catch((error: unknown) => this.#queue.push({ type: "stray", error: toWireError(error) }))
      .finally(() => {
        this.#host?.revoke();
        this.#queue.push({ type: "disposed" });
      });
  }

  /** Calls a handler with what the collection thread has given. The result as JSON text. */
  async #call(handler: Handler, argument: Json, signal: AbortSignal): Promise<string | undefined> {
    const connector = this.#connector;
    if (connector === undefined) {
      throw new TransientError("The connector does not run");
    }
    const result: unknown = await callHandler(connector, handler, { argument, signal });
    return result === undefined ? undefined : exactText(result);
  }
}

/** Calls a handler with what the collection thread has written: the same types come out of the text. */
function callHandler(
  connector: Connector,
  handler: Handler,
  { argument, signal }: { readonly argument: Json; readonly signal: AbortSignal },
): unknown {
  switch (handler) {
    case "sharedAttributeKeys":
      return connector.sharedAttributeKeys?.(textOf(argument));
    case "handleAttributes":
      return connector.handleAttributes?.(updateOf(argument), signal);
    case "rpcTimeoutMs":
      return connector.rpcTimeoutMs?.(requestOf(argument));
    case "handleRpc":
    case "handleConnectorRpc":
      return connector[handler]?.(requestOf(argument), signal);
  }
}

function updateOf(argument: Json): AttributeUpdate {
  const { deviceName = "", values = {}, removed = [] } = isJsonObject(argument) ? argument : {};
  return {
    deviceName: textOf(deviceName),
    values: isJsonObject(values) ? values : {},
    removed: Array.isArray(removed) ? removed.map(textOf) : [],
  };
}

function requestOf(argument: Json): RpcRequest {
  const members: Values = isJsonObject(argument) ? argument : {};
  const { deviceName, id = 0, method = "", params = null, timeoutMs = 0 } = members;
  return {
    ...(deviceName === undefined ? {} : { deviceName: textOf(deviceName) }),
    id: Number(id),
    method: textOf(method),
    params,
    // A time with a fraction has been read as a `Float`.
    timeoutMs: timeoutMs instanceof Float ? timeoutMs.value : Number(timeoutMs),
  };
}

/** The clock of a thread: the operating system's, but `now` is the host's where that has another one (a board without the time). */
class ThreadClock {
  readonly clock: Clock = { ...systemClock, now: () => this.#now() };
  #base: { readonly time: number; readonly atMs: number } | undefined;

  set base(time: TimeBase) {
    this.#base = time === undefined ? undefined : { time, atMs: systemClock.monotonicMs() };
  }

  #now(): ReturnType<Clock["now"]> {
    const base = this.#base;
    return base === undefined
      ? systemClock.now()
      : epochMs(base.time + systemClock.monotonicMs() - base.atMs);
  }
}
