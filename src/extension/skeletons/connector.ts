import {
  type Connector,
  type ConnectorHost,
  defineConnector,
  encodeJson,
  entries,
  isJsonObject,
  type Json,
  Outbox,
  RpcError,
  readJson,
  Schedule,
  supervise,
  TransientError,
} from "tbgw/sdk";
import * as v from "valibot";

/** Longest wait for an answer of a device. */
const ANSWER_MS = 5000;

const device = v.looseObject({
  name: v.pipe(v.string(), v.nonEmpty()),
  type: v.optional(v.string(), "default"),
  /** Where the device answers with one JSON object. */
  url: v.pipe(v.string(), v.url()),
});
type Device = v.InferOutput<typeof device>;

/** Asks devices for a JSON object over HTTP, again and again; each member is one value. */
export default defineConnector({
  name: "SkeletonName",
  type: "skeletontype",
  schema: v.looseObject({
    /** Milliseconds between two questions. */
    pollPeriod: v.optional(v.pipe(v.number(), v.minValue(100)), 5000),
    /** One bad element costs only itself. */
    devices: v.pipe(entries(device), v.nonEmpty("name at least one device")),
  }),
  create: ({ pollPeriod, devices }, host): Connector => ({
    async run(signal) {
      // Each device has a link of its own: one that does not answer costs no other.
      const links = devices.map((one) =>
        supervise(
          {
            name: one.url,
            host,
            run: (end, healthy) => poll({ device: one, pollPeriod, host }, end, healthy),
          },
          signal,
        ),
      );
      await Promise.all(links);
    },
    async handleRpc({ deviceName, method, params }, signal) {
      const one = devices.find(({ name }) => name === deviceName);
      if (one === undefined || method !== "set") {
        throw new RpcError(`"${deviceName}" knows no method "${method}"`, 404);
      }
      return await ask(one, host, signal, params);
    },
    async handleAttributes({ deviceName, values }, signal) {
      const one = devices.find(({ name }) => name === deviceName);
      if (one !== undefined) {
        await ask(one, host, signal, values);
      }
    },
    async [Symbol.asyncDispose]() {}, // `poll` closes what it opens.
  }),
});

/** Polls one device until `signal` aborts. @throws TransientError when it does not answer: `supervise` tries again */
async function poll(
  task: { readonly device: Device; readonly pollPeriod: number; readonly host: ConnectorHost },
  signal: AbortSignal,
  healthy: () => void,
): Promise<void> {
  const { device: one, pollPeriod, host } = task;
  const schedule = new Schedule(pollPeriod, host);
  await using outbox = new Outbox(host);
  try {
    while (!signal.aborted) {
      await schedule.next(signal);
      const values = await ask(one, host, signal);
      if (!isJsonObject(values)) {
        throw new TransientError(`${one.url} must answer with one JSON object`);
      }
      healthy();
      host.setStatus("connected");
      await outbox.put(
        [{ deviceName: one.name, deviceType: one.type, telemetry: [{ values }] }],
        signal,
      );
    }
  } catch (error) {
    signal.throwIfAborted();
    host.setStatus("degraded", one.url);
    host.devices.failed(one.name, error instanceof Error ? error.message : String(error));
    throw error;
  }
}

/** One question to a device, with a body when there is something to tell it. @throws TransientError */
async function ask(
  { url }: Device,
  host: ConnectorHost,
  signal: AbortSignal,
  body?: Json,
): Promise<Json> {
  const request = body === undefined ? {} : { method: "POST", body: encodeJson(body) };
  try {
    const within = host.clock.deadline(ANSWER_MS, signal);
    const response = await fetch(url, { ...request, signal: within });
    if (!response.ok) {
      throw new TransientError(`it answers with status ${response.status}`);
    }
    return readJson(await response.text());
  } catch (cause) {
    signal.throwIfAborted();
    throw new TransientError(`Cannot ask ${url}`, { cause });
  }
}
