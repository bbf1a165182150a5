import { createHash } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { ReadCode } from "./decoder.ts";

/** What a table of a device was found to refuse. */
export interface Refusals {
  /** Places that no request may cross; see `PlanLimits.cuts`. */
  readonly cuts: readonly number[];
  /** Longest request, when the device refused a longer one for its length alone. */
  readonly limit?: number | undefined;
}

const place = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_536));
const entry = v.object({
  cuts: v.array(place),
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2000))),
  atMs: v.number(),
});
const fileSchema = v.record(v.string(), entry);
type Entry = v.InferOutput<typeof entry>;

/** What was learnt is tried anew after this long: the device may have been changed. */
export const KEPT_MS = 86_400_000;

/**
 * What devices refused, in a file that survives a restart, so that a gateway need not find it out again with every start. An entry
 * counts for 24 h and for the items it was learnt with.
 */
export class LearntRefusals {
  readonly #path: string;
  readonly #host: { readonly clock: Clock; readonly log: Logger };
  readonly #entries = new Map<string, Entry>();
  #writing: Promise<void> = Promise.resolve();

  constructor(dir: string, host: { readonly clock: Clock; readonly log: Logger }) {
    this.#path = join(dir, "plan.json");
    this.#host = host;
  }

  /** Reads the file. One that is missing or damaged means that nothing is known. */
  async load(): Promise<void> {
    try {
      const parsed = v.safeParse(fileSchema, JSON.parse(await readFile(this.#path, "utf8")));
      for (const [key, one] of Object.entries(parsed.success ? parsed.output : {})) {
        this.#entries.set(key, one);
      }
    } catch {
      this.#entries.clear();
    }
  }

  /** What is known about a table. */
  of(table: Table): Refusals {
    const found = this.#entries.get(keyOf(table));
    return found !== undefined && this.#isFresh(found)
      ? { cuts: found.cuts, limit: found.limit }
      : { cuts: [] };
  }

  /** Replaces what is known about a table, and writes it down. Resolves when it is written; a failure is only logged. */
  async learn(table: Table, refusals: Refusals): Promise<void> {
    this.#entries.set(keyOf(table), {
      cuts: [...refusals.cuts],
      ...(refusals.limit === undefined ? {} : { limit: refusals.limit }),
      atMs: this.#host.clock.now(),
    });
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  #isFresh({ atMs }: Entry): boolean {
    return this.#host.clock.now() - atMs < KEPT_MS;
  }

  async #write(): Promise<void> {
    try {
      const fresh = [...this.#entries].filter(([, one]) => this.#isFresh(one));
      const text = JSON.stringify(Object.fromEntries(fresh));
      await writeFile(`${this.#path}.tmp`, text, { mode: 0o600 });
      await rename(`${this.#path}.tmp`, this.#path);
    } catch (error) {
      this.#host.log.warn("Cannot write down what devices refuse", { error: errorText(error) });
    }
  }
}

/** One table of one unit on one line, with the items that are read from it. */
export interface Table {
  readonly line: string;
  readonly unit: number;
  readonly functionCode: ReadCode;
  readonly items: readonly { readonly first: number; readonly length: number }[];
}

const keys = new WeakMap<Table, string>();

/** Changes with the items, so that another configuration begins without what was learnt. */
function keyOf(table: Table): string {
  let key = keys.get(table);
  if (key === undefined) {
    const { line, unit, functionCode, items } = table;
    const text = items.map(({ first, length }) => `${first}+${length}`).join(" ");
    const hash = createHash("sha256").update(text).digest("hex").slice(0, 16);
    key = `${line} unit ${unit} function ${functionCode} items ${hash}`;
    keys.set(table, key);
  }
  return key;
}
