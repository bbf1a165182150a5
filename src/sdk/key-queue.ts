/** Bounds of a queue. */
export interface KeyQueueLimits {
  /** Most jobs of one key that wait, the one at work not counted. */
  readonly perKey: number;
  /** Most jobs that wait in all. */
  readonly total: number;
}

type Job = () => Promise<void>;

/** Runs jobs: those of one key one at a time and in order, those of different keys at the same time. */
export class KeyQueue {
  readonly #limits: KeyQueueLimits;
  /** Jobs that wait, by key; an entry, also an empty one, means that a job of the key is at work. */
  readonly #waiting = new Map<string, Job[]>();
  #size = 0;

  constructor(limits: KeyQueueLimits) {
    this.#limits = limits;
  }

  /** Jobs that wait in all. */
  get size(): number {
    return this.#size;
  }

  /** Takes a job, and starts it at once when its key is idle. False: too many wait. What a job throws is its own business: it must not. */
  tryPush(key: string, job: Job): boolean {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) {
      this.#waiting.set(key, []);
      this.#work(key, job).catch(() => undefined); // It does not reject.
      return true;
    }
    if (waiting.length >= this.#limits.perKey || this.#size >= this.#limits.total) {
      return false;
    }
    waiting.push(job);
    this.#size += 1;
    return true;
  }

  async #work(key: string, first: Job): Promise<void> {
    for (let job: Job | undefined = first; job !== undefined; job = this.#next(key)) {
      await job().catch(() => undefined); // Its own business.
    }
  }

  #next(key: string): Job | undefined {
    const job = this.#waiting.get(key)?.shift();
    if (job === undefined) {
      this.#waiting.delete(key);
    } else {
      this.#size -= 1;
    }
    return job;
  }
}
