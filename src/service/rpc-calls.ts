import type { Clock } from "#sdk/clock";
import { encodeJson } from "#sdk/encode";
import { TransientError } from "#sdk/errors";
import type { Json } from "#sdk/model";
import { answerText, answerTo, failure } from "./rpc-answers.ts";
import type { RpcReplies } from "./rpc-replies.ts";

/** Most calls at work or waiting for it. */
const MAX_PENDING = 10_000;
/** Most calls remembered, the answered ones included, and most characters of them. */
const MAX_CALLS = 50_000;
const MAX_LENGTH = 32 * 1024 * 1024;
/** An answer is remembered for so long at least: the platform repeats what it has no reply for as long as its own caller waits. */
const MIN_KEPT_MS = 10_000;
/** An answer of at most so many characters has no shorter one. */
const MAX_SHORT_LENGTH = 128;
/** The answer "Request timeout" goes out so much earlier that it arrives while the caller still waits: this share, at most so many ms. */
const EARLY_SHARE = 0.05;
const MAX_EARLY_MS = 250;

/** Where the answer of a call goes. */
export interface ReplyTarget {
  readonly topic: string;
  /** Puts the JSON text of the answer into the payload. Called when the reply is sent. */
  readonly payload: (data: string) => string;
}

/** A call as it came from the platform. */
export interface CallRequest {
  /** Name of the device on the platform; "" for the gateway's own. */
  readonly device: string;
  readonly id: number;
  readonly method: string;
  readonly params: Json;
  readonly timeoutMs: number;
  readonly target: ReplyTarget;
}

/** Executes a call once. The signal aborts when the answer would come too late. */
export type Execute = (call: {
  /** Monotonic milliseconds at which the signal aborts. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}) => Promise<Json>;

/** Totals since the start. */
export interface CallCounts {
  /** Messages that asked for something, repetitions included. */
  readonly deliveries: number;
  readonly executions: number;
  readonly timedOut: number;
  /** Refused with code 429. */
  readonly overflow: number;
}

interface Call {
  readonly key: string;
  readonly request: CallRequest;
  /** Monotonic milliseconds until which a delivery is taken for a repetition. */
  readonly keptMs: number;
  readonly abort: AbortController;
  /** Deliveries that have no reply yet, each by the monotonic milliseconds from which on nobody waits for its reply. */
  owed: number[];
  /** JSON text of the answer once there is one. */
  answer: string | undefined;
  timer: Disposable | undefined;
}

/**
 * The calls of the platform. However often a call is delivered before its deadline, it is executed once, and each delivery gets the
 * same answer: the platform repeats what it has no reply for after each connect of the gateway or the device.
 */
export class RpcCalls implements Disposable {
  readonly #clock: Clock;
  readonly #replies: RpcReplies;
  readonly #calls = new Map<string, Call>();
  readonly #counts = { deliveries: 0, executions: 0, timedOut: 0, overflow: 0 };
  #length = 0;
  #pending = 0;

  constructor(clock: Clock, replies: RpcReplies) {
    this.#clock = clock;
    this.#replies = replies;
  }

  get counts(): CallCounts {
    return { ...this.#counts };
  }

  /** Takes one delivery of a call; `execute` is used when it is the first. */
  receive(request: CallRequest, execute: Execute): void {
    this.#counts.deliveries += 1;
    const { device, id, method, params } = request;
    const key = JSON.stringify([device, id, method, encodeJson(params)]);
    const known = this.#calls.get(key);
    const nowMs = this.#clock.monotonicMs();
    const endMs = nowMs + request.timeoutMs;
    if (known !== undefined && nowMs < known.keptMs) {
      known.owed.push(endMs);
      this.#reply(known);
      return;
    }
    if (known !== undefined) {
      this.#forget(known);
    }
    const call: Call = {
      key,
      request,
      keptMs: Math.max(endMs, nowMs + MIN_KEPT_MS),
      abort: new AbortController(),
      owed: [endMs],
      answer: undefined,
      timer: undefined,
    };
    this.#remember(call);
    if (this.#pending > MAX_PENDING || this.#length > MAX_LENGTH) {
      this.#counts.overflow += 1;
      this.#answer(call, failure("Too many calls wait for an answer", 429));
      return;
    }
    this.#execute(call, endMs, execute);
  }

  /** Answers everything that is at work with `error`, code 503. */
  end(error: string): void {
    for (const call of this.#calls.values()) {
      if (call.answer === undefined) {
        call.abort.abort(new TransientError(error));
        this.#answer(call, failure(error, 503));
      }
    }
  }

  /** The device was deleted on the platform: a reply in its name would create it again. */
  forget(device: string): void {
    for (const call of this.#calls.values()) {
      if (call.request.device === device) {
        call.abort.abort(new TransientError("The device was deleted"));
        this.#forget(call);
      }
    }
  }

  [Symbol.dispose](): void {
    for (const call of this.#calls.values()) {
      call.abort.abort(new TransientError("The gateway is stopping"));
      this.#forget(call);
    }
  }

  #execute(call: Call, endMs: number, execute: Execute): void {
    this.#counts.executions += 1;
    const { timeoutMs } = call.request;
    const earlyMs = Math.min(MAX_EARLY_MS, timeoutMs * EARLY_SHARE);
    const deadlineMs = endMs - earlyMs;
    call.timer = this.#clock.timer(timeoutMs - earlyMs, () => {
      this.#counts.timedOut += 1;
      call.abort.abort(new TransientError(`No answer within ${timeoutMs} ms`));
      this.#answer(call, failure("Request timeout", 408));
    });
    execute({ deadlineMs, signal: call.abort.signal }).then(
      (answer) => this.#answer(call, answer),
      (error: unknown) => this.#answer(call, answerTo(error)),
    );
  }

  /** The first answer counts; whatever comes later is ignored. */
  #answer(call: Call, answer: Json): void {
    if (call.answer !== undefined || this.#calls.get(call.key) !== call) {
      return;
    }
    call.answer = answerText(answer);
    this.#length += call.answer.length;
    this.#pending -= 1;
    call.timer?.[Symbol.dispose]();
    // Repetitions may come until the caller gives up.
    const leftMs = Math.max(0, call.keptMs - this.#clock.monotonicMs());
    call.timer = this.#clock.timer(leftMs, () => this.#forget(call));
    this.#reply(call);
    this.#trim();
  }

  /** Sends the answer to each delivery that has none. */
  #reply(call: Call): void {
    const { answer, request } = call;
    if (answer === undefined) {
      return;
    }
    const { device, id, method, target } = request;
    for (const deadlineMs of call.owed.splice(0)) {
      let text = answer;
      this.#replies.send({
        topic: target.topic,
        payload: () => {
          text = call.answer ?? answer;
          return target.payload(text);
        },
        length: answer.length,
        deadlineMs,
        about: { device, id, method },
        tooLarge: () => this.#tooLarge(call, { deadlineMs, length: text.length }),
      });
    }
  }

  /** An answer of this size never arrives: the caller gets to know that instead. */
  #tooLarge(call: Call, reply: { readonly deadlineMs: number; readonly length: number }): void {
    const { answer } = call;
    if (answer === undefined || reply.length <= MAX_SHORT_LENGTH) {
      return;
    }
    if (answer.length > MAX_SHORT_LENGTH) {
      const text = `The answer is too large for the platform: ${answer.length} characters`;
      call.answer = answerText(failure(text, 413));
      this.#length -= this.#calls.get(call.key) === call ? answer.length - call.answer.length : 0;
    }
    call.owed.push(reply.deadlineMs);
    this.#reply(call);
  }

  #remember(call: Call): void {
    this.#calls.set(call.key, call);
    this.#length += call.key.length;
    this.#pending += 1;
  }

  #forget(call: Call): void {
    call.timer?.[Symbol.dispose]();
    if (this.#calls.get(call.key) === call) {
      this.#calls.delete(call.key);
      this.#length -= call.key.length + (call.answer?.length ?? 0);
      this.#pending -= call.answer === undefined ? 1 : 0;
    }
  }

  /** Lets the oldest answered calls go when there are too many. */
  #trim(): void {
    for (const call of this.#calls.values()) {
      if (this.#calls.size <= MAX_CALLS && this.#length <= MAX_LENGTH) {
        return;
      }
      if (call.answer !== undefined) {
        this.#forget(call);
      }
    }
  }
}
