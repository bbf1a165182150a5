import { TransientError } from "./errors.ts";

const unsent = new WeakSet<TransientError>();

/** The error of a message that has certainly not left: sent again, it is not there twice. Any other error of a send leaves that open. */
export function unsentError(
  message: string,
  options: { readonly cause?: unknown } = {},
): TransientError {
  const error = new TransientError(message, options);
  unsent.add(error);
  return error;
}

/** Whether an error is one made by `unsentError`. */
export function isUnsent(error: unknown): boolean {
  return error instanceof TransientError && unsent.has(error);
}
