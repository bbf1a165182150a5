import { errorText, InvariantError, RejectedError, TransientError } from "#sdk/errors";
import { isUnsent, unsentError } from "#sdk/unsent";
import type { PortError } from "./port.ts";

/** An error as it crosses the port. */
export function toPortError(error: unknown): PortError {
  const reason = error instanceof RejectedError ? error.reason : undefined;
  const name = error instanceof Error ? error.name : "Error";
  return { name, message: errorText(error), reason, isUnsent: isUnsent(error) };
}

/** The error on the other side of the port. */
export function toError(error: PortError): Error {
  if (error.name === "RejectedError") {
    return new RejectedError(
      error.message,
      error.reason === undefined ? {} : { reason: error.reason },
    );
  }
  if (error.name === "InvariantError") {
    return new InvariantError(error.message);
  }
  return error.isUnsent === true ? unsentError(error.message) : new TransientError(error.message);
}

/** Gives an answer to whoever waits for it under this id, and forgets him. */
export function settle(
  waiting: Map<number, PromiseWithResolvers<void>>,
  id: number,
  error: PortError | undefined,
): void {
  const reply = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) {
    reply?.resolve();
  } else {
    reply?.reject(toError(error));
  }
}
