import { writeSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { systemClock } from "#sdk/clock";
import { InvariantError, RejectedError, TransientError } from "#sdk/errors";
import { createLogger, type Logger, type LogLevel } from "#sdk/logger";
import { unsentError } from "#sdk/unsent";
import type { EventStore } from "../storage/event-store.ts";
import { openEventStore } from "../storage/open.ts";
import { takeOver } from "../storage/takeover.ts";
import { watchCertificates } from "../thingsboard/certificate-watch.ts";
import { Sender } from "../thingsboard/sender.ts";
import { Session } from "../thingsboard/session.ts";
import type { SessionSettings } from "../thingsboard/settings.ts";
import { HeartMonitor } from "./heartbeat.ts";
import { lateStamps, type StampedStore } from "./late-stamps.ts";
import type {
  AppendRequest,
  DeliveryReport,
  DeviceRequest,
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
import { type Progress, ProgressWatchdog } from "./watchdog.ts";

/** Reports are at most this often, and only after something has changed. */
const REPORT_EVERY_MS = 1000;

/** How often the watchdog looks. */
const WATCH_EVERY_MS = 10_000;

const watchdog = new ProgressWatchdog();
const decoder = new TextDecoder();
const clock = systemClock;
const life = new AbortController();

/** Session and sender: replaced together when the watchdog asks for it. */
interface Uplink {
  readonly session: Session;
  readonly sender: Sender;
  readonly stop: AbortController;
  readonly runs: Promise<unknown>;
}

/** What the thread consists of once it is open. */
interface Parts {
  readonly store: MeteredStore;
  /** The store as the sender reads it. */
  readonly stamped: StampedStore;
  readonly log: Logger;
  uplink: Uplink | undefined;
}

let parts: Parts | undefined;
let reportTimer: Disposable | undefined;
let heartMonitor: HeartMonitor | undefined;
/** Devices that are there, by name: told to each new sender. */
const devices = new Map<string, string>();
/** How often the watchdog had to act, by step. */
const watchdogSteps = { reconnects: 0, rebuilds: 0 };

function post(message: FromDelivery): void {
  parentPort?.postMessage(message);
}

function logger(source: string, level: LogLevel): Logger {
  return createLogger({ source, level, clock, sink: (record) => post({ type: "log", record }) });
}

async function open(request: OpenRequest): Promise<void> {
  const store = new MeteredStore(
    await openEventStore(request.storage, {
      clock,
      log: logger("storage", request.logLevel),
      dataDir: request.dataDir,
    }),
    clock,
  );
  await takeOver(
    request.leftBehind,
    { store, clock, whenFull: request.storage.whenFull, log: logger("storage", request.logLevel) },
    life.signal,
  );
  heartMonitor = new HeartMonitor(request.heartbeat, clock, (at) => endHungProcess(store, at));
  const opened: Parts = {
    store,
    stamped: lateStamps(store, request.dataDir, clock),
    log: logger("tb_connection", request.logLevel),
    uplink: undefined,
  };
  parts = opened;
  if (request.session !== undefined) {
    startUplink(opened, request.session);
  }
}

/** Starts delivering; from here on `parts.uplink` is there. */
function startUplink(to: Parts, settings: SessionSettings): void {
  const { store, log } = to;
  const stopUplink = new AbortController();
  const signal = AbortSignal.any([life.signal, stopUplink.signal]);
  const session = new Session(settings, { clock, log, onState: reportNow });
  const announced = (deviceName: string): void => post({ type: "announced", deviceName });
  const sender = new Sender({ store: to.stamped.store, session, clock, log, announced });
  session.onDownlink((topic, payload) =>
    post({ type: "downlink", topic, payload: decoder.decode(payload) }),
  );
  for (const [deviceName, deviceType] of devices) {
    sender.connectDevice(deviceName, deviceType);
  }
  const runs = Promise.all([
    guard(session.run(signal), signal),
    guard(sender.run(signal), signal),
    guard(watch(to, settings, signal), signal),
    guard(watchCertificates(settings, { clock, log, store }, signal), signal),
  ]);
  to.uplink = { session, sender, stop: stopUplink, runs };
}

/** A part that ends before it was stopped is our bug: the thread must not go on as if it delivered. */
async function guard(run: Promise<unknown>, signal: AbortSignal): Promise<void> {
  try {
    await run;
  } catch (error) {
    if (!signal.aborted) {
      post({ type: "failed", error: toPortError(error) });
    }
  }
}

/** What the watchdog has to know at this moment. */
function progressOf({ store, stamped, uplink }: Parts): Progress {
  const { queued, acknowledged } = store.stats().ledger;
  return {
    nowMs: clock.monotonicMs(),
    queued,
    acknowledged,
    connected: uplink?.session.isOpen ?? false,
    paused: stamped.isHeld || (uplink?.sender.progress.paused ?? false),
  };
}

/** Looks whether values move, and renews what stands still. */
async function watch(of: Parts, settings: SessionSettings, signal: AbortSignal): Promise<never> {
  const { log } = of;
  for (;;) {
    await clock.sleep(WATCH_EVERY_MS, signal);
    const progress = progressOf(of);
    const step = watchdog.check(progress);
    if (step !== undefined) {
      log.error("Values wait and none is acknowledged", { queued: progress.queued, step });
    }
    if (step === "reconnect") {
      watchdogSteps.reconnects += 1;
      of.uplink?.session.abandon(new TransientError("No value was acknowledged for a minute"));
    } else if (step === "rebuild") {
      watchdogSteps.rebuilds += 1;
      rebuildSoon(of, settings);
    } else if (step === "restart") {
      throw new InvariantError("No value was acknowledged, over a new session too");
    }
  }
}

/** Replaces session and sender. Not awaited by the watch, which is part of what ends here. */
function rebuildSoon(of: Parts, settings: SessionSettings): void {
  const old = of.uplink;
  if (old === undefined) {
    return;
  }
  old.stop.abort(new TransientError("The session is built anew"));
  old.runs
    .then(() => startUplink(of, settings))
    .catch((error: unknown) => post({ type: "failed", error: toPortError(error) }));
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

async function publish({ uplink }: Parts, request: PublishRequest): Promise<void> {
  let error: PortError | undefined;
  try {
    if (uplink === undefined) {
      throw unsentError("Cannot publish: there is no session with the platform yet");
    }
    const limit = uplink.session.payloadLimit;
    if (Buffer.byteLength(request.payload) > limit) {
      // The platform would end the connection, and again each time it is sent.
      throw new RejectedError(`A message to ${request.topic} has more than ${limit} bytes`, {
        reason: "too-large",
      });
    }
    const code = await uplink.session.publish(request.topic, request.payload, life.signal);
    if (code >= 0x80) {
      throw new RejectedError(`The platform refused a message to ${request.topic}`, {
        reason: `code-0x${code.toString(16)}`,
      });
    }
  } catch (caught) {
    error = toPortError(caught);
  }
  post({ type: "published", id: request.id, error });
}

function report(): DeliveryReport {
  if (parts === undefined) {
    throw new TransientError("The store is not open yet");
  }
  return deliveryReport(parts.store, parts.uplink, watchdogSteps);
}

/** A device that comes is announced at once and after each reconnect; one that goes is taken back. */
async function announce({ uplink }: Parts, request: DeviceRequest): Promise<void> {
  if (request.connected) {
    devices.set(request.deviceName, request.deviceType);
    uplink?.sender.connectDevice(request.deviceName, request.deviceType);
    return;
  }
  devices.delete(request.deviceName);
  try {
    await uplink?.sender.disconnectDevice(request.deviceName, life.signal);
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
  heartMonitor?.[Symbol.dispose]();
  try {
    await parts?.uplink?.sender.drain(drainMs);
    life.abort(new TransientError("The gateway is stopping"));
    await parts?.uplink?.runs;
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
  handle(message).catch((error: unknown) => post({ type: "failed", error: toPortError(error) }));
});
