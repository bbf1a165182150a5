import type { AcceptResult, Uplink } from "#sdk/connector";
import { RejectedError } from "#sdk/errors";
import type { DeviceData } from "#sdk/model";
import { recordProblem, refusedValues } from "#sdk/record-shape";
import {
  type FromThread,
  type HostRequest,
  MAX_ACCEPTS,
  MAX_CHARS,
  MAX_TRIED,
  type ToThread,
  type WireData,
} from "./port.ts";
import { type Packed, pack } from "./wire.ts";

/** What the way up of a thread needs. */
export interface ThreadUplinkOptions {
  readonly post: (message: FromThread) => void;
  readonly ask: (request: HostRequest, signal: AbortSignal) => Promise<string | undefined>;
  readonly rejected: (reason: string, values: number) => void;
}

/** The way up in a thread: values become text here, and no more is under way than the collection thread gives credit for. */
export class ThreadUplink implements Uplink {
  readonly #options: ThreadUplinkOptions;
  readonly #accepts = new Credit(MAX_ACCEPTS, MAX_CHARS);
  readonly #tried = new Credit(MAX_TRIED, MAX_CHARS);

  constructor(options: ThreadUplinkOptions) {
    this.#options = options;
  }

  async accept(
    data: DeviceData | readonly DeviceData[],
    signal: AbortSignal,
    options?: { readonly urgent?: boolean },
  ): Promise<AcceptResult> {
    signal.throwIfAborted();
    const records: readonly DeviceData[] = isList(data) ? data : [data];
    const { packed, chars } = this.#pack(records);
    const urgent = options?.urgent === true;
    await this.#accepts.take(1, chars, signal);
    try {
      const answer = await this.#options.ask({ ask: "accept", data: packed, urgent }, signal);
      return acceptResult(answer);
    } finally {
      this.#accepts.give(1, chars);
    }
  }

  tryAccept(data: DeviceData): { readonly status: "queued" | "filtered" | "overflow" } {
    const { packed, chars, values } = this.#pack([data]);
    const [record] = packed;
    if (record === undefined || !this.#tried.tryTake(1, chars)) {
      this.#options.rejected("overflow", values);
      return { status: "overflow" };
    }
    this.#options.post({ type: "try", data: record, values, chars });
    return { status: "queued" };
  }

  /** The store has answered for what `tryAccept` has sent. */
  credit({ records, chars }: Extract<ToThread, { type: "credit" }>): void {
    this.#tried.give(records, chars);
  }

  /** @throws RejectedError, counted, when one of the records cannot be stored */
  #pack(records: readonly DeviceData[]): {
    readonly packed: readonly WireData[];
    readonly values: number;
    readonly chars: number;
  } {
    const total = { values: 0, bad: 0, chars: 0 };
    const packed: WireData[] = [];
    for (const record of records) {
      const problem = recordProblem(record);
      if (problem !== undefined) {
        throw this.#refuse(problem, "bad-record", refusedValues(records));
      }
      const one: Packed = pack(record);
      packed.push(one.data);
      total.values += one.values;
      total.bad += one.bad;
      total.chars += one.chars;
    }
    if (total.values === 0) {
      throw total.bad === 0
        ? this.#refuse("it has no value", "no-value", 1)
        : this.#refuse("none of its values can be sent", "bad-value", total.bad);
    }
    return { packed, ...total };
  }

  #refuse(problem: string, reason: string, values: number): RejectedError {
    this.#options.rejected(reason, values);
    return new RejectedError(`Cannot store a record: ${problem}`, { reason });
  }
}

/** A number of records and of characters that may be under way. */
class Credit {
  readonly #waiting = new Set<() => void>();
  readonly #most: { readonly records: number; readonly chars: number };
  #records = 0;
  #chars = 0;

  constructor(records: number, chars: number) {
    this.#most = { records, chars };
  }

  tryTake(records: number, chars: number): boolean {
    const isAlone = this.#records === 0;
    const fits =
      this.#records + records <= this.#most.records && this.#chars + chars <= this.#most.chars;
    if (!isAlone && !fits) {
      return false;
    }
    this.#records += records;
    this.#chars += chars;
    return true;
  }

  /** Resolves when there is credit; first come, first served. @throws the reason of `signal` */
  async take(records: number, chars: number, signal: AbortSignal): Promise<void> {
    if (this.#waiting.size === 0 && this.tryTake(records, chars)) {
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const tryAgain = (): void => {
      if (this.tryTake(records, chars)) {
        this.#waiting.delete(tryAgain);
        resolve();
      }
    };
    const onAbort = (): void => {
      this.#waiting.delete(tryAgain);
      reject(signal.reason);
      this.#serve();
    };
    this.#waiting.add(tryAgain);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  give(records: number, chars: number): void {
    this.#records -= records;
    this.#chars -= chars;
    this.#serve();
  }

  #serve(): void {
    for (const tryAgain of this.#waiting) {
      tryAgain();
      if (this.#waiting.has(tryAgain)) {
        return; // Nobody overtakes the one who waits longest.
      }
    }
  }
}

/** The answer to `accept` out of its text. */
export function acceptResult(answer: string | undefined): AcceptResult {
  const [status = "stored", reason = ""] = (answer ?? "stored").split(" ");
  return status === "filtered" || status === "dropped" ? { status, reason } : { status: "stored" };
}

/** The answer to `accept` as text. */
export function acceptText(result: AcceptResult): string {
  return result.status === "stored" ? "stored" : `${result.status} ${result.reason}`;
}

function isList(data: DeviceData | readonly DeviceData[]): data is readonly DeviceData[] {
  return Array.isArray(data);
}
