import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { Json } from "#sdk/model";
import { writeFileAtomically } from "../config/atomic-file.ts";
import { canonical } from "../config/canonical.ts";
import type { SessionSettings } from "../thingsboard/settings.ts";

/** Name of the file in the data directory. */
const STATE_FILE = "remote-configuration.json";
/** Most attributes that are remembered. */
const MAX_NAMES = 2000;

const schema = v.object({
  /** Which device at which server the rest is about. */
  platform: v.string(),
  /** What each shared attribute held when it was dealt with last. */
  seen: v.record(v.string(), v.string()),
});

/**
 * Which shared attributes of the platform have been dealt with: applied, refused, or found to be older than a change made here. The
 * platform shows them again at each start and connect, and none of them may undo what a person has changed since.
 */
export class RemoteState {
  readonly #path: string;
  readonly #log: Logger;
  #platform = "";
  #seen = new Map<string, string>();

  constructor(dataDir: string, log: Logger) {
    this.#path = join(dataDir, STATE_FILE);
    this.#log = log;
    const state = read(this.#path);
    this.#platform = state?.platform ?? "";
    this.#seen = new Map(Object.entries(state?.seen ?? {}));
  }

  /**
   * Everything is about this device at this server from here on; what was seen elsewhere is forgotten. Returns whether it is another
   * one than before.
   */
  at(session: SessionSettings | undefined): boolean {
    const platform = session === undefined ? "" : connectionId(session);
    if (platform === this.#platform) {
      return false;
    }
    this.#platform = platform;
    this.#seen.clear();
    return true;
  }

  /** Whether an attribute was dealt with: with this value, with another one, or never. */
  check(name: string, value: Json): "same" | "other" | "never" {
    const seen = this.#seen.get(name);
    if (seen === undefined) {
      return "never";
    }
    return seen === digest(value) ? "same" : "other";
  }

  /** The attribute has been dealt with. */
  seen(name: string, value: Json): void {
    this.#seen.delete(name);
    this.#seen.set(name, digest(value));
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > MAX_NAMES && oldest !== undefined) {
      this.#seen.delete(oldest);
    }
  }

  /** Writes it down. Never throws. */
  save(): void {
    try {
      const state = { platform: this.#platform, seen: Object.fromEntries(this.#seen) };
      writeFileAtomically(this.#path, `${JSON.stringify(state)}\n`);
    } catch (error) {
      this.#log.warn("Cannot remember what the platform has pushed", { error: errorText(error) });
    }
  }
}

function read(path: string): v.InferOutput<typeof schema> | undefined {
  try {
    return v.parse(schema, JSON.parse(readFileSync(path, "utf8")));
  } catch {
    // The first start here, or broken by a person: what the platform shows is compared with the times of the files.
    return undefined;
  }
}

function digest(value: Json): string {
  return createHash("sha256").update(canonical(value)).digest("base64url");
}

/** Names a device at a server, without telling its credentials. */
export function connectionId({ hosts, credentials }: SessionSettings): string {
  return createHash("sha256")
    .update(JSON.stringify([hosts, credentials]))
    .digest("base64url");
}
