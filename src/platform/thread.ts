import { join } from "node:path";

/** The file system inside the compiled program. */
const EMBEDDED = "/$bunfs/";

/** Whether this is the compiled program, not the sources run by Bun. */
export const isCompiled = import.meta.dir.startsWith(EMBEDDED);

/**
 * Starts a thread. `path` is the source file from the root of the project, such as `src/delivery/worker.ts`; it must be an
 * entry point in `scripts/build.ts`, or the compiled program cannot start it.
 */
export function startThread(path: string): Worker {
  return new Worker(
    isCompiled
      ? join(EMBEDDED, "root", path.replace(/\.ts$/, ".js"))
      : join(import.meta.dir, "../..", path),
  );
}
