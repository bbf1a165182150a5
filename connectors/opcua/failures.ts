import { TransientError } from "#sdk/errors";

/** What a status code says, as the Python gateway words it: `description(Name)`. */
export interface Status {
  readonly value: number;
  readonly name: string;
  readonly description: string;
}

/** Whether a status is Bad (OPC UA Part 4 §7.39): its two highest bits. */
export function isBad(status: { readonly value: number }): boolean {
  return status.value >>> 31 === 1;
}

/** The text of a status in answers and lines. */
export function statusText({ description, name }: Pick<Status, "name" | "description">): string {
  return `${description}(${name})`;
}

/** The server refused a request, or one operation of it. */
export class ServiceFault extends Error {
  override readonly name = "ServiceFault";
  readonly status: Status;

  constructor(status: Status) {
    super(statusText(status));
    this.status = status;
  }
}

/** No answer came in time; the session may live on. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/** The session is over: everything on the server has to be built anew. */
export class SessionLost extends Error {
  override readonly name = "SessionLost";
}

/** The session or its channel is gone (OPC UA Part 4 §5.7.2). */
const GONE = new Set([
  "BadSessionIdInvalid",
  "BadSessionClosed",
  "BadSessionNotActivated",
  "BadSecureChannelIdInvalid",
  "BadSecureChannelClosed",
  "BadConnectionClosed",
  "BadServerHalted",
  "BadShutdown",
]);

/** Whoever asks for less gets an answer. */
const TOO_LARGE = new Set([
  "BadRequestTooLarge",
  "BadResponseTooLarge",
  "BadTooManyOperations",
  "BadEncodingLimitsExceeded",
  "BadTcpMessageTooLarge",
]);

/** Whether an error is about the talk with the server, and no defect. */
export function isTalkFailure(error: unknown): error is ServiceFault | NoAnswer | SessionLost {
  return error instanceof ServiceFault || error instanceof NoAnswer || error instanceof SessionLost;
}

/** Whether an error means that the session cannot be used any more. */
export function endsSession(error: unknown): boolean {
  return error instanceof ServiceFault && GONE.has(error.status.name);
}

/** Whether a smaller request may be answered. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof ServiceFault && TOO_LARGE.has(error.status.name);
}

/** For what is only tidied up: the server may refuse it. */
export async function whateverItSays(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof ServiceFault)) {
      throw error;
    }
  }
}

/** The error of a call of the stack as ours: what the server said, else that the session is lost. */
export function toFailure(error: unknown, what: string): Error {
  const status = serviceResult(error);
  if (status !== undefined) {
    return new ServiceFault(status);
  }
  if (error instanceof TransientError || isTalkFailure(error)) {
    return error;
  }
  const text = error instanceof Error ? firstLine(error.message) : String(error);
  return /timed? ?out/i.test(text)
    ? new NoAnswer(`The server did not answer ${what}`, { cause: new Error(text) })
    : new TransientError(`${what} failed`, { cause: new Error(text) });
}

/** Credentials that are refused are refused again: asking each second may lock the account. */
const REFUSED_RETRY_MS = 60_000;
const REFUSED =
  /Bad(UserAccessDenied|IdentityTokenRejected|IdentityTokenInvalid|CertificateUntrusted|SecurityChecksFailed|SecurityPolicyRejected|SecurityModeRejected)/;

/** What kept a session from being opened. */
export function openFailure(error: unknown): Error {
  const failure = toFailure(error, "the connection");
  const text = failure.cause instanceof Error ? failure.cause.message : failure.message;
  const name = REFUSED.exec(`${text} ${error instanceof Error ? error.message : ""}`)?.[0];
  if (name !== undefined) {
    return new TransientError(`The server refuses the gateway: ${firstLine(text)}`, {
      retryAfterMs: REFUSED_RETRY_MS,
    });
  }
  return failure instanceof TransientError
    ? new TransientError(firstLine(text))
    : new TransientError(`The server refuses the session: ${failure.message}`);
}

/** Messages of the stack may go over many lines. */
export function firstLine(text: string): string {
  return (text.split("\n", 1)[0] ?? "").trim();
}

function serviceResult(error: unknown): Status | undefined {
  const header = member(member(error, "response"), "responseHeader");
  const status = member(header, "serviceResult");
  const value = member(status, "value");
  const name = member(status, "name");
  const description = member(status, "description");
  return typeof value === "number" && typeof name === "string" && typeof description === "string"
    ? { value, name, description }
    : undefined;
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
