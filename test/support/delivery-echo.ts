// A delivery thread that tells what it is told, as log lines; it is open once it gets `{ type: "go" }` and broken by `{ type: "break" }`.
import { parentPort } from "node:worker_threads";
import type { FromDelivery, ToDelivery } from "../../src/delivery/port.ts";

function post(message: FromDelivery): void {
  parentPort?.postMessage(message);
}

parentPort?.on("message", (message: ToDelivery | { readonly type: "go" | "break" }) => {
  if (message.type === "go") {
    post({ type: "opened" });
  } else if (message.type === "break") {
    post({ type: "failed", error: { name: "InvariantError", message: "broken" } });
  } else if (message.type === "stop") {
    post({ type: "stopped" });
  } else {
    const fields = { heard: JSON.stringify(message) };
    post({ type: "log", record: { ts: 0, level: "info", source: "echo", message: "", fields } });
  }
});
