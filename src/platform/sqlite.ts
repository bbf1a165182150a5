import { Database as BunDatabase, type Statement as BunStatement } from "bun:sqlite";

/** What a column holds. Integers are numbers: exact up to 2^53 - 1. */
export type SqlValue = string | number | Uint8Array | null;

/** A row as SQLite gives it, not yet looked at. */
export type SqlRow = Readonly<Record<string, unknown>>;

/** SQLite refused. `code` is its (extended) result code by name: `SQLITE_FULL`, `SQLITE_IOERR_FSYNC`. */
export class SqliteError extends Error {
  override readonly name = "SqliteError";
  readonly code: string;

  constructor(message: string, code: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }

  /** The file is damaged, cut or no database: trying again changes nothing. */
  get isCorrupt(): boolean {
    return (
      this.code.startsWith("SQLITE_CORRUPT") ||
      this.code === "SQLITE_NOTADB" ||
      this.code === "SQLITE_IOERR_SHORT_READ"
    );
  }
}

/** A prepared statement whose rows are read by a decoder. */
export interface Statement<Row> {
  /** Runs it; the number of rows it changed. @throws SqliteError */
  run(...values: readonly SqlValue[]): number;
  /** The first row. @throws SqliteError, and what the decoder throws. */
  get(...values: readonly SqlValue[]): Row | undefined;
  /** All rows. @throws SqliteError, and what the decoder throws. */
  all(...values: readonly SqlValue[]): Row[];
}

/** Calls SQLite and gives its errors our type. */
function guarded<T>(action: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error) {
      const code = "code" in error && typeof error.code === "string" ? error.code : "SQLITE_ERROR";
      throw new SqliteError(`Cannot ${action}: ${error.message}`, code, error);
    }
    throw error;
  }
}

class PreparedStatement<Row> implements Statement<Row> {
  readonly #statement: BunStatement<SqlRow, SqlValue[]>;
  readonly #decode: (row: SqlRow) => Row;

  constructor(statement: BunStatement<SqlRow, SqlValue[]>, decode: (row: SqlRow) => Row) {
    this.#statement = statement;
    this.#decode = decode;
  }

  run(...values: readonly SqlValue[]): number {
    return guarded("write to the database", () => this.#statement.run(...values).changes);
  }

  get(...values: readonly SqlValue[]): Row | undefined {
    const row = guarded("read from the database", () => this.#statement.get(...values));
    return row === null ? undefined : this.#decode(row);
  }

  all(...values: readonly SqlValue[]): Row[] {
    const rows = guarded("read from the database", () => this.#statement.all(...values));
    return rows.map((row) => this.#decode(row));
  }

  finalize(): void {
    this.#statement.finalize();
  }
}

/** A SQLite database file. All calls block until they are done. The opener closes it. */
export class Database implements Disposable {
  readonly #database: BunDatabase;
  readonly #statements: { finalize(): void }[] = [];
  #isOpen = true;

  /** Opens `path`, creating it unless `readonly`. @throws SqliteError */
  constructor(path: string, options: { readonly readonly: boolean } = { readonly: false }) {
    this.#database = guarded(
      `open the database ${path}`,
      () =>
        new BunDatabase(
          path,
          options.readonly ? { readonly: true } : { readwrite: true, create: true },
        ),
    );
  }

  /** Runs SQL without parameters and drops its rows. @throws SqliteError */
  exec(sql: string): void {
    guarded("run SQL", () => this.#database.run(sql));
  }

  /** The rows of SQL without parameters; for pragmas. @throws SqliteError */
  query(sql: string): SqlRow[] {
    return guarded("run SQL", () => {
      using statement = this.#database.prepare<SqlRow, []>(sql);
      return statement.all();
    });
  }

  /** Compiles `sql`, parameters `?`. It lives as long as the database. @throws SqliteError */
  prepare<Row>(sql: string, decode: (row: SqlRow) => Row): Statement<Row> {
    const statement = guarded("compile SQL", () => this.#database.prepare<SqlRow, SqlValue[]>(sql));
    const prepared = new PreparedStatement(statement, decode);
    this.#statements.push(prepared);
    return prepared;
  }

  /**
   * Runs `body` in a write transaction: commits when it returns, rolls back when it throws or the commit fails.
   * @throws SqliteError, and what `body` throws.
   */
  transaction<T>(body: () => T): T {
    this.#rollBack(); // Of a transaction whose own roll-back had failed.
    this.exec("BEGIN IMMEDIATE");
    try {
      const result = body();
      this.exec("COMMIT");
      return result;
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  /** Some errors (disk full, I/O) have rolled back already. */
  #rollBack(): void {
    if (this.#database.inTransaction) {
      this.exec("ROLLBACK");
    }
  }

  /** Closes the file. May be called again. @throws SqliteError when SQLite cannot close it. */
  close(): void {
    if (!this.#isOpen) {
      return;
    }
    this.#isOpen = false;
    for (const statement of this.#statements) {
      statement.finalize();
    }
    guarded("close the database", () => this.#database.close());
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
