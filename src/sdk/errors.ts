/** Options of the errors that are about one record or request. */
export interface ReasonOptions {
  readonly cause?: unknown;
  /** Name of the reason in the ledger, in kebab case. */
  readonly reason?: string;
}

/** May work later: refused, timed out, busy. `supervise` backs off and tries again, for ever. */
export class TransientError extends Error {
  override readonly name = "TransientError";
  /** Milliseconds the peer asked us to wait; goes before the back-off policy. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: { readonly cause?: unknown; readonly retryAfterMs?: number } = {},
  ) {
    super(message, { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** This one message or point cannot be read: count it, log it rarely, go on with the next. */
export class DataError extends Error {
  override readonly name = "DataError";
  /** Reason in the ledger, `bad-value` unless said otherwise. */
  readonly reason: string;

  constructor(message: string, options: ReasonOptions = {}) {
    super(message, { cause: options.cause });
    this.reason = options.reason ?? "bad-value";
  }
}

/** The peer will always refuse this record or request: never repeat the same input. */
export class RejectedError extends Error {
  override readonly name = "RejectedError";
  /** Reason in the ledger, `rejected` unless said otherwise. */
  readonly reason: string;

  constructor(message: string, options: ReasonOptions = {}) {
    super(message, { cause: options.cause });
    this.reason = options.reason ?? "rejected";
  }
}

/** One thing the user must change in a file. `path` is a JSON path such as `mapping[2].converter.type`. */
export interface ConfigIssue {
  readonly path: string;
  readonly message: string;
}

/** The user must edit a file. Carries all its issues, so that they can be printed at once. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly file: string;
  readonly issues: readonly ConfigIssue[];

  constructor(file: string, issues: readonly ConfigIssue[]) {
    super(issues.map((issue) => `${file}: ${placeOf(issue)}${issue.message}`).join("\n"));
    this.file = file;
    this.issues = issues;
  }
}

/** Where in the file, when it is not the file as a whole. */
function placeOf({ path }: ConfigIssue): string {
  return path === "$" ? "" : `${path}: `;
}

/** Our own bug; thrown by `assert`. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** States what must hold here. @throws InvariantError when it does not. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) {
    throw new InvariantError(message);
  }
}

/** The answer to an RPC that failed: `{"error":message,"code":code,"success":false}`. Default code 500. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: number;

  constructor(message: string, code = 500) {
    super(message);
    this.code = code;
  }
}

/** The text of anything that was thrown, with its chain of causes. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const text = error.message === "" ? error.name : error.message;
  return error.cause === undefined ? text : `${text}: ${errorText(error.cause)}`;
}
