import type { Logger } from "#sdk/logger";
import { firstLine } from "./failures.ts";
import type { Library } from "./library.ts";

/** The stack writes to the console; its warnings are for those who look for the cause of something. */
export function quietLibrary(library: Library, log: Logger): void {
  const debug = (...parts: unknown[]): void =>
    log.debug("OPC UA stack", { text: firstLine(parts.map(String).join(" ")).slice(0, 300) });
  library.setWarningLogger(debug);
  library.setErrorLogger(debug);
  library.setDebugLogger(() => undefined);
}
