import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";

const fileSchema = v.object({ session: v.string(), filters: v.array(v.string()) });

/**
 * The filters that a persistent session at the broker holds, in a file that survives a restart: what is no longer configured
 * must be unsubscribed, or the broker goes on keeping its messages for us.
 */
export class RememberedFilters {
  readonly #place: { readonly dataDir: string };
  readonly #session: string;
  #writing: Promise<void> = Promise.resolve();
  #written: string | undefined;

  /**
   * The file is in `place.dataDir`, which is asked for when it is needed. `session` names broker and client: what another session
   * held does not matter.
   */
  constructor(place: { readonly dataDir: string }, session: string) {
    this.#place = place;
    this.#session = session;
  }

  /** Empty when nothing is known, also when the file cannot be read: then the worst is a subscription too many. */
  async read(): Promise<readonly string[]> {
    try {
      const parsed = v.safeParse(fileSchema, JSON.parse(await readFile(this.#path, "utf8")));
      return parsed.success && parsed.output.session === this.#session ? parsed.output.filters : [];
    } catch {
      return [];
    }
  }

  /** Replaces the file as a whole. Calls that overlap are carried out in their order; the same once more does nothing. */
  async write(filters: readonly string[]): Promise<void> {
    const text = JSON.stringify({ session: this.#session, filters });
    const before = this.#writing;
    const writing = before.catch(() => undefined).then(() => this.#replace(text));
    this.#writing = writing;
    await writing;
  }

  async #replace(text: string): Promise<void> {
    if (text === this.#written) {
      return;
    }
    const path = this.#path;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.tmp`, text);
    await rename(`${path}.tmp`, path);
    this.#written = text;
  }

  get #path(): string {
    return join(this.#place.dataDir, "subscriptions.json");
  }
}
