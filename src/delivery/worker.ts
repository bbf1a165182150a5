import { parentPort } from "node:worker_threads";
import { systemClock } from "#sdk/clock";
import { errorText, RejectedError, TransientError } from "#sdk/errors";
import { createLogger, type Logger, type LogLevel } from "#sdk/logger";
import type { EventStore } from "../storage/event-store.ts";
import { openEventStore } from "../storage/open.ts";
import { Sender } from "../thingsboard/sender.ts";
import { Session } from "../thingsboard/session.ts";
import type {
  AppendRequest,
  DeliveryReport,
  DeviceRequest,
  FromDelivery,
  LinkState,
  OpenRequest,
  PortError,
  PublishRequest,
  StopRequest,
  ToDelivery,
} from "./port.ts";

/** Reports are at most this often, and only after something has changed. */
const REPORT_EVERY_MS = 1000;

const decoder = new TextDecoder();
const clock = systemClock;
const life = new AbortController();

/** What the thread consists of once it is open. */
interface Parts {
  readonly store: EventStore;
  readonly session: Session | undefined;
  readonly sender: Sender | undefined;
  readonly runs: Promise<unknown>;
}

let parts: Parts | undefined;
let reportTimer: Disposable | undefined;

function post(message: FromDelivery): void {
  parentPort?.postMessage(message);
}

function logger(source: string, level: LogLevel): Logger {
  return createLogger({ source, level, clock, sink: (record) => post({ type: "log", record }) });
}

function portError(error: unknown): PortError {
  const reason = error instanceof RejectedError ? error.reason : undefined;
  const name = error instanceof Error ? error.name : "Error";
  return { name, message: errorText(error), reason };
}

async function open(request: OpenRequest): Promise<void> {
  const store = await openEventStore(request.storage, {
    clock,
    log: logger("storage", request.logLevel),
    dataDir: request.dataDir,
  });
  if (request.session === undefined) {
    parts = { store, session: undefined, sender: undefined, runs: Promise.resolve() };
    return;
  }
  const log = logger("tb_connection", request.logLevel);
  const session = new Session(request.session, { clock, log, onState: reportNow });
  const sender = new Sender({ store, session, clock, log });
  session.onDownlink((topic, payload) =>
    post({ type: "downlink", topic, payload: decoder.decode(payload) }),
  );
  const runs = Promise.all([guard(session.run(life.signal)), guard(sender.run(life.signal))]);
  parts = { store, session, sender, runs };
}

/** A part that ends before it was stopped is our bug: the thread must not go on as if it delivered. */
async function guard(run: Promise<unknown>): Promise<void> {
  try {
    await run;
  } catch (error) {
    if (!life.signal.aborted) {
      post({ type: "failed", error: portError(error) });
    }
  }
}

async function append({ store }: Parts, request: AppendRequest): Promise<void> {
  const { urgent, values, collected } = request;
  try {
    await store.append(request.batch, request.records, { urgent, values, collected }, life.signal);
    post({ type: "appended", id: request.id, error: undefined });
  } catch (error) {
    post({ type: "appended", id: request.id, error: portError(error) });
  }
  reportSoon();
}

async function publish({ session }: Parts, request: PublishRequest): Promise<void> {
  let error: PortError | undefined;
  try {
    const code = (await session?.publish(request.topic, request.payload, life.signal)) ?? 0;
    if (code >= 0x80) {
      throw new RejectedError(`The platform refused a message to ${request.topic}`, {
        reason: `code-0x${code.toString(16)}`,
      });
    }
  } catch (caught) {
    error = portError(caught);
  }
  post({ type: "published", id: request.id, error });
}

function report(): DeliveryReport {
  if (parts === undefined) {
    throw new TransientError("The store is not open yet");
  }
  const { store, session, sender } = parts;
  const state = session?.state;
  return {
    store: store.stats(),
    link: linkState(state),
    sender: {
      publishes: state?.published ?? 0,
      inFlight: state?.inFlight ?? 0,
      bytesSent: state?.wireBytes ?? 0,
      resends: sender?.stats().resends ?? 0,
      rttMs: state?.rttMs,
    },
  };
}

function linkState(state: Session["state"] | undefined): LinkState {
  return {
    state: state?.link ?? "stopped",
    detail: state?.detail,
    host: state?.host,
    protocol: state?.protocol,
  };
}

/** A device that comes is announced at once and after each reconnect; one that goes is taken back. */
async function announce({ sender }: Parts, request: DeviceRequest): Promise<void> {
  if (request.connected) {
    sender?.connectDevice(request.deviceName, request.deviceType);
    return;
  }
  try {
    await sender?.disconnectDevice(request.deviceName, life.signal);
  } catch (error) {
    // The link is gone, and with it every device session on the platform.
    if (!(error instanceof TransientError)) {
      throw error;
    }
  }
}

/** The state of the link matters at once. */
function reportNow(): void {
  if (parts !== undefined) {
    post({ type: "report", id: undefined, report: report() });
  }
}

/** One report a second while things change; none while nothing does. */
function reportSoon(): void {
  reportTimer ??= clock.timer(REPORT_EVERY_MS, () => {
    reportTimer = undefined;
    if (!life.signal.aborted) {
      post({ type: "report", id: undefined, report: report() });
    }
  });
}

async function stop({ drainMs }: StopRequest): Promise<void> {
  try {
    await parts?.sender?.drain(drainMs);
    life.abort(new TransientError("The gateway is stopping"));
    await parts?.runs;
    await parts?.store[Symbol.asyncDispose]();
  } finally {
    reportTimer?.[Symbol.dispose]();
    post({ type: "stopped" });
  }
}

async function handle(message: ToDelivery): Promise<void> {
  if (message.type === "open") {
    await open(message);
    post({ type: "opened" });
    return;
  }
  if (message.type === "stop") {
    await stop(message);
    return;
  }
  if (parts === undefined) {
    throw new TransientError(`The delivery thread got "${message.type}" before it was open`);
  }
  switch (message.type) {
    case "append":
      await append(parts, message);
      break;
    case "publish":
      await publish(parts, message);
      break;
    case "report":
      post({ type: "report", id: message.id, report: report() });
      break;
    case "device":
      await announce(parts, message);
      break;
  }
}

parentPort?.on("message", (message: ToDelivery) => {
  handle(message).catch((error: unknown) => post({ type: "failed", error: portError(error) }));
});
