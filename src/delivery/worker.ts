import { writeSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { collectAfterStart } from "#platform/memory";
import { systemClock } from "#sdk/clock";
import { InvariantError, RejectedError, TransientError } from "#sdk/errors";
import { createLogger, type Logger, type LogLevel, type LogRecord } from "#sdk/logger";
import { unsentError } from "#sdk/unsent";
import type { EventStore } from "../storage/event-store.ts";
import { openEventStore } from "../storage/open.ts";
import { reopenEventStore } from "../storage/reopen.ts";
import { takeOver } from "../storage/takeover.ts";
import { watchCertificates } from "../thingsboard/certificate-watch.ts";
import { Sender } from "../thingsboard/sender.ts";
import { Session } from "../thingsboard/session.ts";
import { isNotice } from "../thingsboard/topics.ts";
import { ChangeableStore } from "./changeable-store.ts";
import { Fence } from "./fence.ts";
import { HeartMonitor } from "./heartbeat.ts";
import { KnownDevices } from "./known-devices.ts";
import { lateStamps } from "./late-stamps.ts";
import type {
  AppendRequest,
  DeliveryReport,
  FromDelivery,
  OpenRequest,
  PortError,
  PublishRequest,
  StopRequest,
  ToDelivery,
} from "./port.ts";
import { toPortError } from "./port-error.ts";
import { deliveryReport } from "./report.ts";
import { MeteredStore } from "./throughput.ts";
import { Uplinks } from "./uplinks.ts";

/** Reports are at most this often, and only after something has changed. */
const REPORT_EVERY_MS = 1000;

const decoder = new TextDecoder();
const clock = systemClock;
const life = new AbortController();

/** What the thread consists of once it is open. */
interface Parts {
  readonly changeable: ChangeableStore;
  readonly store: MeteredStore;
  readonly uplinks: Uplinks;
}

let parts: Parts | undefined;
let logLevel: LogLevel = "info";
let reportTimer: Disposable | undefined;
let heartMonitor: HeartMonitor | undefined;
let collecting: Disposable | undefined;
let devices = new KnownDevices();
/** What the platform said before a connection was open has been handled by the collection thread. */
const fence = new Fence(clock, (id, kept) => post({ type: "fence", id, kept }));

function post(message: FromDelivery): void {
  parentPort?.postMessage(message);
}

function logger(source: string): Logger {
  const sink = (record: LogRecord): void => post({ type: "log", record });
  return createLogger({ source, level: () => logLevel, clock, sink });
}

async function open(request: OpenRequest): Promise<void> {
  const { dataDir, storage } = request;
  logLevel = request.logLevel;
  const storeLog = logger("storage");
  const deps = { clock, log: storeLog, dataDir };
  const opened = await openEventStore(storage, deps);
  const changeable = new ChangeableStore(opened, storage, (before, change, signal) =>
    reopenEventStore(before, change, deps, signal),
  );
  const store = new MeteredStore(changeable, clock);
  await takeOver(
    request.leftBehind,
    { store, clock, whenFull: storage.whenFull, log: storeLog },
    life.signal,
  );
  devices = new KnownDevices(request.devices);
  heartMonitor = new HeartMonitor(request.heartbeat, clock, (at) => endHungProcess(store, at));
  const uplinks = openUplinks(store, dataDir, logger("tb_connection"));
  parts = { changeable, store, uplinks };
  if (request.session !== undefined) {
    uplinks.start(request.session);
  }
  collecting = collectAfterStart(clock);
}

function openUplinks(store: MeteredStore, dataDir: string, log: Logger): Uplinks {
  const stamped = lateStamps(store, dataDir, clock);
  const handled = (): Promise<void> => fence.pass();
  const platformName = (deviceName: string): string => devices.platformName(deviceName);
  const announced = (deviceName: string): void => post({ type: "announced", deviceName });
  return new Uplinks({
    clock,
    log,
    store,
    stamped,
    life: life.signal,
    createSession: (settings, onState) => new Session(settings, { clock, log, onState, handled }),
    createSender: (session) => {
      session.onDownlink((topic, bytes) => {
        const payload = decoder.decode(bytes);
        post({ type: "downlink", topic, payload });
        return isNotice(topic, payload) ? isKept(log) : undefined;
      });
      const host = { store: stamped.store, session, clock, log };
      const sender = new Sender({ ...host, platformName, announced });
      devices.introduce(sender);
      return sender;
    },
    watchCertificates: (settings, signal) =>
      watchCertificates(settings, { clock, log, store }, signal),
    onState: reportNow,
    failed: (error) => post({ type: "failed", error: toPortError(error) }),
  });
}

/** Whether a notice that the platform forgets with the PUBACK is on the disk. */
async function isKept(log: Logger): Promise<boolean> {
  const kept = await fence.kept();
  if (!kept) {
    log.warn(
      "What the platform says about a device is not on the disk yet: it is not acknowledged, and comes again with the next connection",
    );
  }
  return kept;
}

/** Answers a request with success or an error; our own bugs are for whoever runs the thread. */
async function answer(id: number, work: Promise<void>): Promise<void> {
  let error: PortError | undefined;
  try {
    await work;
  } catch (caught) {
    if (caught instanceof InvariantError) {
      throw caught;
    }
    error = toPortError(caught);
  }
  post({ type: "done", id, error });
}

/** The collection thread does not answer: commit what there is and end the process, for its supervisor to start it again. */
function endHungProcess(store: EventStore, at: string): void {
  const text = `tbgw: the collection thread hangs, last in connector "${at}": the process ends itself\n`;
  Promise.resolve(store[Symbol.asyncDispose]())
    .catch(() => undefined) // It is logged by the store; the process must end all the same.
    .finally(() => {
      writeSync(2, text);
      // process.exit ends only this thread.
      process.kill(process.pid, "SIGKILL");
    });
}

async function append({ store }: Parts, request: AppendRequest): Promise<void> {
  const { urgent, values, collected } = request;
  try {
    await store.append(request.batch, request.records, { urgent, values, collected }, life.signal);
    post({ type: "appended", id: request.id, error: undefined });
  } catch (error) {
    if (error instanceof InvariantError) {
      throw error;
    }
    post({ type: "appended", id: request.id, error: toPortError(error) });
  }
  reportSoon();
}

async function publish({ uplinks }: Parts, request: PublishRequest): Promise<void> {
  const uplink = uplinks.current;
  if (uplink === undefined) {
    throw unsentError("Cannot publish: there is no session with the platform yet");
  }
  const { topic, payload, withinMs, background = false } = request;
  const late = new AbortController();
  using _timer =
    withinMs === undefined
      ? undefined
      : clock.timer(withinMs, () => late.abort(new TransientError("It could not be sent in time")));
  const limit = uplink.session.payloadLimit;
  if (Buffer.byteLength(request.payload) > limit) {
    // The platform would end the connection, and again each time it is sent.
    throw new RejectedError(`A message to ${request.topic} has more than ${limit} bytes`, {
      reason: "too-large",
    });
  }
  const code = await uplink.session.publish(topic, payload, late.signal, { background });
  if (code >= 0x80) {
    throw new RejectedError(`The platform refused a message to ${request.topic}`, {
      reason: `code-0x${code.toString(16)}`,
    });
  }
}

function report(): DeliveryReport {
  if (parts === undefined) {
    throw new TransientError("The store is not open yet");
  }
  return deliveryReport(parts.store, parts.uplinks.current, parts.uplinks.steps);
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
  heartMonitor?.[Symbol.dispose]();
  collecting?.[Symbol.dispose]();
  try {
    await parts?.uplinks.current?.sender.drain(drainMs);
    life.abort(new TransientError("The gateway is stopping"));
    await parts?.uplinks.ended();
    await parts?.store[Symbol.asyncDispose]();
  } finally {
    reportTimer?.[Symbol.dispose]();
    post({ type: "stopped" });
  }
}

/** Takes a message that asks for nothing to be done; false for any other. */
function note(
  message: ToDelivery,
): message is Extract<ToDelivery, { type: "log-level" | "passed" }> {
  if (message.type === "passed") {
    fence.passed(message.id);
    return true;
  }
  if (message.type === "log-level") {
    logLevel = message.level;
    return true;
  }
  return false;
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
  if (note(message)) {
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
      await answer(message.id, publish(parts, message));
      break;
    case "swap":
      await answer(message.id, parts.uplinks.swap(message));
      break;
    case "storage": {
      const { changeable, uplinks } = parts;
      const change = (): Promise<void> => changeable.change(message.storage, life.signal);
      await answer(message.id, uplinks.pausedFor(change));
      break;
    }
    case "report":
      post({ type: "report", id: message.id, report: report() });
      break;
    case "device":
      await devices.change(message, parts.uplinks.current?.sender, life.signal);
      break;
  }
}

parentPort?.on("message", (message: ToDelivery) => {
  handle(message).catch((error: unknown) => post({ type: "failed", error: toPortError(error) }));
});
