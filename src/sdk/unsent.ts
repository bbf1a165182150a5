import { TransientError } from "./errors.ts";

/** A message has certainly not left: sent again, it is not there twice. Any other error of a send leaves that open. */
export class UnsentError extends TransientError {}
