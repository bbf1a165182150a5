import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** A record that was set aside. */
export interface SetAside {
  readonly reason: string;
  /** One line of the store's batch format. */
  readonly record: string;
}

/** The quarantine of a gateway that may be running, oldest first. `dataDir` is the one that holds `events.db`. */
export function readQuarantine(dataDir: string): readonly SetAside[] {
  if (!existsSync(join(dataDir, "events.db"))) {
    return [];
  }
  using database = new Database(join(dataDir, "events.db"), { readonly: true });
  // The program may be recovering the file after it was killed.
  database.run("PRAGMA busy_timeout = 5000");
  return database
    .query<{ reason: string; record: Uint8Array | string }, []>(
      "SELECT reason, record FROM quarantine ORDER BY id",
    )
    .all()
    .map(({ reason, record }) => ({
      reason,
      record: typeof record === "string" ? record : Buffer.from(record).toString("utf8"),
    }));
}
