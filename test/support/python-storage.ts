// Writes what a Python gateway leaves on disk: its two formats of stored records.
import { Database } from "bun:sqlite";
import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A telemetry message as the Python gateway stores it. */
export function pythonMessage(seq: number, device = "old"): string {
  const ts = 1_700_000_000_000 + seq;
  return `{"deviceName": "${device}", "deviceType": "sensor", "telemetry": [{"ts": ${ts}, "values": {"seq": ${seq}, "value": ${seq}.0}}], "attributes": {}}`;
}

/** `count` messages numbered from `first` on. */
export function pythonMessages(first: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => pythonMessage(first + index));
}

/** One line of a text file: Base64 of the UTF-8 text. */
export function pythonLine(message: string): string {
  return Buffer.from(message).toString("base64");
}

/** Writes `data_<number>.txt` with these lines, each ended by a line feed. */
export async function writeTextFile(
  folder: string,
  number: number,
  lines: readonly string[],
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `data_${number}.txt`);
  await appendFile(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}

/** Writes how far the Python gateway had read. */
export async function writeState(folder: string, file: string, position: number): Promise<void> {
  await writeFile(join(folder, "state_file.txt"), JSON.stringify({ position, file }));
}

/** Writes a database of the Python gateway; `firstId` is what the sent rows before had come to. */
export async function writeDatabase(
  folder: string,
  name: string,
  options: {
    readonly messages: readonly (string | Uint8Array)[];
    readonly schema?: "current" | "older";
    readonly firstId?: number;
    readonly timestamp?: number;
  },
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  const { messages, schema = "current", firstId = 1, timestamp = 1_690_000_000_000 } = options;
  using database = new Database(path);
  database.run("PRAGMA journal_mode = WAL");
  if (schema === "current") {
    database.run(
      "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, message TEXT NOT NULL)",
    );
    database.run("CREATE INDEX IF NOT EXISTS idx_timestamp ON messages (timestamp)");
  } else {
    database.run("CREATE TABLE messages (timestamp INTEGER, message TEXT)");
  }
  const rowid = schema === "current" ? "id" : "rowid";
  const insert = database.prepare(
    `INSERT INTO messages (${rowid}, timestamp, message) VALUES (?, ?, ?)`,
  );
  database.transaction(() => {
    for (const [index, message] of messages.entries()) {
      insert.run(firstId + index, timestamp, message);
    }
  })();
  insert.finalize();
  return path;
}
