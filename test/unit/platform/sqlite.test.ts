import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database, SqliteError } from "../../../src/platform/sqlite.ts";

/** What `body` throws. */
function thrown(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("Database", () => {
  let folder: string;
  let database: Database;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tbgw-sqlite-"));
    database = new Database(join(folder, "a.db"));
    database.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)");
  });

  afterEach(() => {
    database.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const count = (): unknown => database.query("SELECT count(*) AS n FROM t")[0]?.["n"];

  test("prepare() reads rows through the decoder, and run() tells how many rows changed", () => {
    const insert = database.prepare("INSERT INTO t(data) VALUES(?)", (row) => row);
    const select = database.prepare("SELECT data FROM t WHERE id = ?", (row) => row["data"]);
    expect(insert.run(Uint8Array.of(1, 2))).toBe(1);
    expect(select.get(1)).toEqual(Uint8Array.of(1, 2));
    expect(select.get(2)).toBeUndefined();
    expect(select.all(1)).toHaveLength(1);
    expect(database.prepare("DELETE FROM t", (row) => row).run()).toBe(1);
  });

  test("transaction() commits what the body did, or nothing when it throws", () => {
    database.transaction(() => database.exec("INSERT INTO t(id) VALUES(1)"));
    const failed = thrown(() =>
      database.transaction(() => {
        database.exec("INSERT INTO t(id) VALUES(2)");
        throw new RangeError("enough");
      }),
    );
    expect(failed).toBeInstanceOf(RangeError);
    expect(count()).toBe(1);
    database.transaction(() => database.exec("INSERT INTO t(id) VALUES(3)"));
    expect(count()).toBe(2);
  });

  test("errors carry the code by name", () => {
    database.exec("INSERT INTO t(id) VALUES(1)");
    const error = thrown(() => database.exec("INSERT INTO t(id) VALUES(1)"));
    expect(error).toBeInstanceOf(SqliteError);
    expect(error).toMatchObject({ code: "SQLITE_CONSTRAINT_PRIMARYKEY", isCorrupt: false });
  });

  test("a file that is no database is corrupt, not merely refused", () => {
    const path = join(folder, "b.db");
    writeFileSync(path, "this is no database".repeat(100));
    using other = new Database(path);
    expect(thrown(() => other.query("SELECT * FROM sqlite_schema"))).toMatchObject({
      code: "SQLITE_NOTADB",
      isCorrupt: true,
    });
  });

  test("a file that cannot be opened throws, and close() may be called twice", () => {
    expect(thrown(() => new Database(join(folder, "none", "c.db")))).toBeInstanceOf(SqliteError);
    database.close();
    database.close();
  });
});
