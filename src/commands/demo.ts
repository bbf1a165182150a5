import { defineCommand } from "citty";
import { Demo, type DemoFrame, type DemoSummary } from "../demo/scenario.ts";
import { frameLine, frameScreen, type Rates, ratesBetween } from "../demo/view.ts";
import { formatLogLine } from "../logging/stdout.ts";
import { type Clock, systemClock } from "../sdk/clock.ts";
import type { LogSink } from "../sdk/logger.ts";
import { aborted, StopSignal } from "../service/signals.ts";
import { UsageError } from "./flags.ts";
import { print } from "./print.ts";

/** The uplink is away for this long, or a fifth of a short demo. */
const CUT_MS = 5000;
/** Where the cut begins when the demo has no end. */
const FIRST_CUT_MS = 15_000;
const SHOW_CURSOR = "\u001B[?25h";
const HIDE_CURSOR = "\u001B[?25l\u001B[2J";

/** Not one that a platform on the same machine has. */
const PEERS_PORT = 18_830;

/** `tbgw demo` */
export const demoCommand = defineCommand({
  meta: { name: "demo", description: "See the gateway work, with everything simulated" },
  args: {
    seconds: { type: "string", description: "End after this many seconds", valueHint: "N" },
    json: { type: "boolean", description: "Print one summary object at the end, nothing else" },
    peers: {
      type: "boolean",
      description: "Only the platform and the devices, without a gateway: to practise tbgw init",
    },
    port: {
      type: "string",
      description:
        "With --peers: port of the platform; the next three are the devices' (default 18830)",
      valueHint: "N",
    },
  },
  run: async ({ args }) => {
    if (args.peers === true) {
      return await runPeers(Number(args.port ?? PEERS_PORT));
    }
    const seconds = args.seconds === undefined ? undefined : Number(args.seconds);
    if (seconds !== undefined && !(seconds > 0)) {
      throw new UsageError(`--seconds must be a number above 0, but is "${args.seconds}"`);
    }
    return await runDemo({ seconds, json: args.json === true });
  },
});

/** The platform and the devices alone, until a signal. */
async function runPeers(port: number): Promise<number> {
  if (!Number.isInteger(port) || port < 1 || port > 65_532) {
    throw new UsageError("--port must be a whole number from 1 to 65532");
  }
  using stop = new StopSignal();
  const { DemoPeers } = await import("../demo/peers.ts");
  const onValue = (text: string): void => {
    process.stdout.write(`${text}\n`);
  };
  const options = { clock: systemClock, sink: logSink(false), port, onValue };
  await using peers = await DemoPeers.start(options);
  await print(`${peers.describe()}\n\n`);
  await aborted(stop.signal);
  return 0;
}

interface DemoRun {
  readonly seconds: number | undefined;
  readonly json: boolean;
}

/** When the uplink is cut and restored, from the start of the demo. */
interface CutPlan {
  readonly cutAtMs: number;
  readonly restoreAtMs: number;
}

function planCut(seconds: number | undefined): CutPlan {
  const totalMs = seconds === undefined ? undefined : seconds * 1000;
  const cutAtMs = totalMs === undefined ? FIRST_CUT_MS : totalMs / 2;
  const lengthMs = totalMs === undefined ? CUT_MS : Math.min(CUT_MS, totalMs / 5);
  return { cutAtMs, restoreAtMs: cutAtMs + lengthMs };
}

async function runDemo(run: DemoRun): Promise<number> {
  const clock = systemClock;
  using stop = new StopSignal();
  const failed = new AbortController();
  const screen = process.stdout.isTTY && !run.json;
  const sink = logSink(run.json || screen);
  const onFailure = (error: Error): void => failed.abort(error);
  await using demo = await Demo.start({ clock, sink, onFailure });
  const signal = AbortSignal.any([stop.signal, failed.signal]);
  if (screen) {
    process.stdout.write(HIDE_CURSOR);
  }
  try {
    await watch(demo, { ...run, screen, clock, signal });
  } finally {
    if (screen) {
      process.stdout.write(`${SHOW_CURSOR}\n`);
    }
  }
  failed.signal.throwIfAborted();
  const summary = await demo.finish();
  report(summary, run.json);
  return summary.dropped === 0 && summary.queued === 0 ? 0 : 1;
}

/** Shows the demo, with the cut in the middle, until its time is over or the signal comes. */
async function watch(
  demo: Demo,
  options: DemoRun & {
    readonly screen: boolean;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { clock, signal, screen } = options;
  const plan = planCut(options.seconds);
  const startMs = clock.monotonicMs();
  const endMs = options.seconds === undefined ? Number.POSITIVE_INFINITY : options.seconds * 1000;
  let before: DemoFrame | undefined;
  let beforeMs = startMs;
  let mostQueued = 0;
  for (let elapsedMs = 0; elapsedMs < endMs && !signal.aborted; ) {
    const frame = await demo.frame();
    const nowMs = clock.monotonicMs();
    elapsedMs = nowMs - startMs;
    await cutOrRestore(demo, frame.cut, elapsedMs, plan);
    const rates = ratesBetween(before, frame, nowMs - beforeMs);
    mostQueued = Math.max(mostQueued, frame.status.store.ledger.queued);
    draw(frame, rates, { ...options, seconds: elapsedMs / 1000, mostQueued });
    before = frame;
    beforeMs = nowMs;
    const periodMs = screen ? 500 : 1000;
    await clock
      .sleep(Math.max(1, Math.min(periodMs, endMs - elapsedMs)), signal)
      .catch(() => undefined); // The end.
  }
}

async function cutOrRestore(
  demo: Demo,
  cut: boolean,
  elapsedMs: number,
  plan: CutPlan,
): Promise<void> {
  if (!cut && elapsedMs >= plan.cutAtMs && elapsedMs < plan.restoreAtMs) {
    await demo.cutUplink();
  } else if (cut && elapsedMs >= plan.restoreAtMs) {
    await demo.restoreUplink();
  }
}

function draw(
  frame: DemoFrame,
  rates: Rates,
  info: {
    readonly screen: boolean;
    readonly json: boolean;
    readonly seconds: number;
    readonly mostQueued: number;
  },
): void {
  if (info.screen) {
    const hint = "Soon the uplink is cut: watch the queue fill and drain. Ctrl-C ends.";
    process.stdout.write(frameScreen(frame, rates, { ...info, hint }));
  } else if (!info.json) {
    console.log(frameLine(frame, rates, info.seconds));
  }
}

/** Warnings of the gateway: on standard error, unless they would tear the live view or the cut explains them. */
function logSink(quiet: boolean): LogSink {
  return (record) => {
    if (record.level === "error" || (!quiet && record.level === "warn")) {
      process.stderr.write(`${formatLogLine(record)}\n`);
    }
  };
}

function report(summary: DemoSummary, json: boolean): void {
  if (json) {
    console.log(JSON.stringify(summary));
    return;
  }
  const { devices, received, stored, acknowledged, dropped } = summary;
  console.log(
    `${devices} devices: ${received} values received, ${stored} stored, ${acknowledged} acknowledged by the platform, ${dropped} dropped.`,
  );
}
