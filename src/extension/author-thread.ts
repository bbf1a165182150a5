import { parentPort } from "node:worker_threads";
import { systemClock } from "#sdk/clock";
import { errorText, TransientError } from "#sdk/errors";
import type { AuthorTask, FromAuthorThread, ToAuthorThread } from "./author-port.ts";
import { doTask } from "./author-work.ts";

// The entry point of a thread that runs one file of an author for `tbgw extension check` and `test`.
const ALIVE_EVERY_MS = 500;
const stop = new AbortController();

function send(message: FromAuthorThread): void {
  parentPort?.postMessage(message);
}

/** What nobody waits for went wrong: a timer of the file, a promise it let go. */
function stray(error: unknown): void {
  send({ kind: "problem", text: `an error that nobody caught: ${errorText(error)}` });
  send({ kind: "done", code: 1 });
}

process.on("uncaughtException", stray);
process.on("unhandledRejection", stray);

async function showLife(): Promise<void> {
  while (!stop.signal.aborted) {
    send({ kind: "alive" });
    await systemClock.sleep(ALIVE_EVERY_MS, stop.signal).catch(() => undefined);
  }
}

async function run(task: AuthorTask): Promise<void> {
  try {
    const code = await doTask(task, { send, signal: stop.signal });
    send({ kind: "done", code });
  } catch (error) {
    send({ kind: "problem", text: errorText(error) });
    send({ kind: "done", code: 1 });
  }
}

parentPort?.on("message", (message: ToAuthorThread) => {
  if (message.kind === "stop") {
    stop.abort(new TransientError("stopped"));
  } else {
    // Neither rejects: what goes wrong is said.
    Promise.all([run(message), showLife()]).catch(stray);
  }
});
