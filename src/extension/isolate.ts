import { parentPort } from "node:worker_threads";
import type { FromThread, ToThread } from "../connector/isolation/port.ts";
import { PortQueue } from "../connector/isolation/port-queue.ts";
import { ConnectorThread } from "../connector/isolation/thread.ts";
import { toWireError } from "../connector/isolation/wire.ts";

// The entry point of a thread that runs one connector: src/connector/README.md says what for.
const queue = new PortQueue<FromThread>((messages) => parentPort?.postMessage(messages));
const thread = new ConnectorThread(queue);

/** The connector is given up, and the thread with it: the collection thread decides. */
function stray(error: unknown): void {
  queue.push({ type: "stray", error: toWireError(error) });
  queue.flush();
}

process.on("uncaughtException", stray);
process.on("unhandledRejection", stray);

parentPort?.on("message", (messages: readonly ToThread[]) => {
  for (const message of messages) {
    try {
      thread.handle(message);
    } catch (error) {
      stray(error);
    }
  }
});
