import type { HttpReply } from "#platform/server";
import { jsonReply } from "../reply.ts";
import type { WebSources } from "../sources.ts";

/** A disk may hold the delivery thread up for seconds; longer than this it is taken for stuck. */
const ALIVE_MS = 5000;
const STATUS_MS = 2000;

/** `/healthz`: 200 while both threads answer, else 503: the process should be restarted. */
export async function healthRoute(sources: WebSources): Promise<HttpReply> {
  const stage = sources.stage();
  if (stage !== "running") {
    return jsonReply(200, { alive: true, stage });
  }
  const { delivery } = await sources.status(ALIVE_MS);
  const alive = delivery === "answering";
  return jsonReply(alive ? 200 : 503, { alive, stage, collection: "answering", delivery });
}

/**
 * `/readyz`: 200 when the store is open and every connector has been started, else 503. The uplink is told but does not count: data is
 * kept without it.
 */
export async function readyRoute(sources: WebSources): Promise<HttpReply> {
  const stage = sources.stage();
  if (stage !== "running") {
    return jsonReply(503, { ready: false, stage });
  }
  const { delivery, link, connectors } = await sources.status(STATUS_MS);
  const starting = connectors.filter((one) => one.state === "starting" && one.restarts === 0);
  const ready = delivery === "answering" && starting.length === 0;
  return jsonReply(ready ? 200 : 503, {
    ready,
    stage,
    store: delivery === "answering" ? "open" : "not-answering",
    uplink: link.state,
    connectors: connectors.map(({ name, type, state }) => ({ name, type, state })),
  });
}
