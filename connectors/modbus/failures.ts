/** Exception codes of the standard (Modbus application protocol §7). */
const NAMES: Readonly<Record<number, string>> = {
  1: "illegal function",
  2: "illegal data address",
  3: "illegal data value",
  4: "device failure",
  5: "acknowledge",
  6: "device busy",
  7: "negative acknowledge",
  8: "memory parity error",
  10: "gateway path unavailable",
  11: "gateway target device failed to respond",
};

/** An exception code in words: `illegal data address (exception 2)`. */
export function exceptionText(code: number): string {
  return `${NAMES[code] ?? "unknown"} (exception ${code})`;
}

/** The device answered a request with an exception. */
export class ModbusException extends Error {
  override readonly name = "ModbusException";
  readonly code: number;

  constructor(code: number) {
    super(`the device answers: ${exceptionText(code)}`);
    this.code = code;
  }
}

/** The device did not answer in time. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";

  constructor(timeoutMs: number) {
    super(`no answer within ${Math.round(timeoutMs)} ms`);
  }
}

/** There is no connection, or it was lost before the answer came. */
export class LineDown extends Error {
  override readonly name = "LineDown";

  constructor(message: string, cause?: unknown) {
    super(message, { cause });
  }
}

/** Whether an exception says that the device behind a gateway did not answer. */
export function isGatewaySilence(error: unknown): boolean {
  return error instanceof ModbusException && (error.code === 10 || error.code === 11);
}
