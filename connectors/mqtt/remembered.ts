import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";

const fileSchema = v.object({ session: v.string(), filters: v.array(v.string()) });

/**
 * The filters that a persistent session at the broker holds, in a file that survives a restart: what is no longer configured
 * must be unsubscribed, or the broker goes on keeping its messages for us.
 */
export class RememberedFilters {
  readonly #dir: string;
  readonly #session: string;

  /** `session` names broker and client: what another session held does not matter. */
  constructor(dir: string, session: string) {
    this.#dir = dir;
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

  /** Replaces the file as a whole. */
  async write(filters: readonly string[]): Promise<void> {
    const path = this.#path;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.tmp`, JSON.stringify({ session: this.#session, filters }));
    await rename(`${path}.tmp`, path);
  }

  get #path(): string {
    return join(this.#dir, "subscriptions.json");
  }
}
