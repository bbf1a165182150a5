import type { SqlRow } from "#platform/sqlite";
import { DataError } from "#sdk/errors";

/** A column that must hold an integer. @throws DataError reason `corrupt` */
export function readInteger(row: SqlRow, column: string): number {
  const value = row[column];
  if (typeof value === "number" && Number.isSafeInteger(value)) {
    return value;
  }
  throw wrongType(column, "an integer");
}

/** A column that must hold text. @throws DataError reason `corrupt` */
export function readText(row: SqlRow, column: string): string {
  const value = row[column];
  if (typeof value === "string") {
    return value;
  }
  throw wrongType(column, "text");
}

/** A column that must hold a blob. @throws DataError reason `corrupt` */
export function readBlob(row: SqlRow, column: string): Uint8Array {
  const value = row[column];
  if (value instanceof Uint8Array) {
    return value;
  }
  throw wrongType(column, "a blob");
}

function wrongType(column: string, need: string): DataError {
  return new DataError(`Cannot read the event store: column ${column} must hold ${need}`, {
    reason: "corrupt",
  });
}
