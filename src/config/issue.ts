import { formatPath, type ParseIssue } from "#sdk/config";
import type { Document } from "./document.ts";

/** Keys and indexes from the root of a file. */
export type Path = readonly (string | number)[];

/** Something a person should know about a configuration file. */
export interface FileIssue {
  /** An error is a value that could not be used, a warning something that has no effect or deserves a look. */
  readonly severity: "error" | "warning";
  /** Absolute path of the file, or `environment` for a variable of the environment. */
  readonly file: string;
  /** Counted from 1; `undefined` when the issue is not about a line. */
  readonly line: number | undefined;
  /** JSON path such as `mapping[2].converter.type`; `$` is the whole file; for `environment` the variable's name. */
  readonly path: string;
  readonly message: string;
}

/** The name in `FileIssue.file` of what comes from environment variables. */
export const ENVIRONMENT = "environment";

/** The issues of the text of a file. */
export function textIssues(file: string, document: Document): readonly FileIssue[] {
  return document.issues.map(({ severity, line, column, message }) => ({
    severity,
    file,
    line,
    path: "$",
    message: `${message} (column ${column})`,
  }));
}

/** An issue with the line of the file it is about. */
export function located(
  file: string,
  document: Pick<Document, "lineOf"> | undefined,
  issue: ParseIssue,
): FileIssue {
  return {
    severity: issue.severity,
    file,
    line: document?.lineOf(issue.path),
    path: formatPath(issue.path),
    message: issue.message,
  };
}

/** By file, line and path, for printing. */
export function compareIssues(left: FileIssue, right: FileIssue): number {
  return (
    compareText(left.file, right.file) ||
    (left.line ?? 0) - (right.line ?? 0) ||
    compareText(left.path, right.path) ||
    compareText(left.message, right.message)
  );
}

function compareText(left: string, right: string): number {
  if (left === right) {
    return 0;
  }
  return left < right ? -1 : 1;
}
