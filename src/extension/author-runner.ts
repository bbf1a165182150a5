import { startThread } from "#platform/thread";
import type { Clock } from "#sdk/clock";
import type { AuthorCode, AuthorTask, FromAuthorThread, Inspected } from "./author-port.ts";

/** What a task needs of its surroundings. */
export interface AuthorRun {
  readonly clock: Clock;
  readonly out: (text: string) => void;
  readonly problem: (text: string) => void;
  readonly found?: (found: Inspected) => void;
  /** Ends a connector that runs. */
  readonly signal: AbortSignal;
  /** Silence after which the thread is ended. Default: 10 s. */
  readonly silentMs?: number;
}

const SILENT_MS = 10_000;

/** Does a task in a thread. Resolves with its exit code; 1 when the thread does not come back, which is then ended. */
export async function runAuthorTask(task: AuthorTask, run: AuthorRun): Promise<AuthorCode> {
  const { clock, signal, silentMs = SILENT_MS } = run;
  const { promise, resolve } = Promise.withResolvers<AuthorCode>();
  const thread = startThread("src/extension/author-thread.ts");
  let heardMs = clock.monotonicMs();
  const over = new AbortController();
  thread.addEventListener("message", ({ data }: MessageEvent<FromAuthorThread>) => {
    heardMs = clock.monotonicMs();
    if (data.kind === "done") {
      resolve(data.code);
    } else if (data.kind === "found") {
      run.found?.(data.found);
    } else if (data.kind !== "alive") {
      run[data.kind](data.text);
    }
  });
  thread.addEventListener("error", (event) => {
    run.problem(event.message);
    resolve(1);
  });
  const onStop = (): void => thread.postMessage({ kind: "stop" });
  signal.addEventListener("abort", onStop, { once: true });
  const watch = async (): Promise<void> => {
    for (let restMs = silentMs; restMs > 0 && !over.signal.aborted; ) {
      await clock.sleep(restMs, over.signal).catch(() => undefined);
      restMs = heardMs + silentMs - clock.monotonicMs();
    }
    if (!over.signal.aborted) {
      const where = "is there an endless loop, at its top level or in a callback?";
      run.problem(`${task.file}: nothing was heard of it for ${silentMs / 1000} s; ${where}`);
      resolve(1);
    }
  };
  const watching = watch();
  thread.postMessage(task);
  const code = await promise;
  over.abort();
  await watching;
  signal.removeEventListener("abort", onStop);
  thread.terminate();
  return code;
}
