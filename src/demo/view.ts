import { total } from "#sdk/ledger";
import type { DemoFrame } from "./scenario.ts";

/** Numbers of a frame since the frame before it. */
export interface Rates {
  readonly receivedPerSecond: number;
  readonly acknowledgedPerSecond: number;
}

const BOLD = "\u001B[1m";
const DIM = "\u001B[2m";
const GREEN = "\u001B[32m";
const RED = "\u001B[31m";
const RESET = "\u001B[0m";
/** Cursor to the top left, and clear to the end of the screen after the text. */
const HOME = "\u001B[H";
const CLEAR_LINE = "\u001B[K";
const CLEAR_BELOW = "\u001B[J";

const BAR_WIDTH = 40;

/** Rates from two frames `elapsedMs` apart. */
export function ratesBetween(
  before: DemoFrame | undefined,
  after: DemoFrame,
  elapsedMs: number,
): Rates {
  const seconds = Math.max(0.001, elapsedMs / 1000);
  const old = before?.status.store.ledger;
  const ledger = after.status.store.ledger;
  return {
    receivedPerSecond: (ledger.received - (old?.received ?? 0)) / seconds,
    acknowledgedPerSecond: (ledger.acknowledged - (old?.acknowledged ?? 0)) / seconds,
  };
}

/** One line for a log: what went in, what is acknowledged, what waits. */
export function frameLine(frame: DemoFrame, rates: Rates, seconds: number): string {
  const { ledger } = frame.status.store;
  const link = frame.cut ? "CUT" : frame.status.link.state;
  return (
    `${seconds.toFixed(0).padStart(4)} s  uplink ${link.padEnd(12)} ` +
    `in ${rates.receivedPerSecond.toFixed(0).padStart(4)}/s  ` +
    `received ${ledger.received}  stored ${ledger.stored}  acknowledged ${ledger.acknowledged}  ` +
    `queued ${ledger.queued}  dropped ${total(ledger.dropped) + ledger.quarantined}`
  );
}

/** The whole screen of the live view, to be written over the one before. */
export function frameScreen(
  frame: DemoFrame,
  rates: Rates,
  info: { readonly seconds: number; readonly mostQueued: number; readonly hint: string },
): string {
  const lines = [
    `${BOLD}tbgw demo${RESET}  ${DIM}devices → MQTT, Modbus → gateway with durable store → ThingsBoard (simulated)   ${info.seconds.toFixed(0)} s${RESET}`,
    "",
    ...valueLines(frame),
    "",
    linkLine(frame),
    queueLine(frame, info.mostQueued),
    "",
    ...ledgerLines(frame, rates),
    "",
    `${DIM}${info.hint}${RESET}`,
  ];
  return HOME + lines.map((line) => `${line}${CLEAR_LINE}`).join("\n") + CLEAR_BELOW;
}

function valueLines(frame: DemoFrame): string[] {
  const lines = [
    `${BOLD}${"Device".padEnd(16)}${"Key".padEnd(14)}${"Value on the platform".padStart(24)}${RESET}`,
  ];
  let last = "";
  for (const { device, key, text } of frame.values) {
    lines.push(
      `${(device === last ? "" : device).padEnd(16)}${key.padEnd(14)}${text.padStart(24)}`,
    );
    last = device;
  }
  if (frame.values.length === 0) {
    lines.push(`${DIM}nothing yet${RESET}`);
  }
  return lines;
}

function linkLine(frame: DemoFrame): string {
  const { link } = frame.status;
  const up = link.state === "connected";
  const text = frame.cut ? "cut by the demo" : link.state;
  const protocol = link.protocol === undefined ? "" : `, MQTT ${link.protocol}`;
  return `Uplink   ${up ? GREEN : RED}● ${text}${up ? protocol : ""}${RESET}`;
}

function queueLine(frame: DemoFrame, mostQueued: number): string {
  const { queued } = frame.status.store.ledger;
  const filled = mostQueued === 0 ? 0 : Math.round((queued / mostQueued) * BAR_WIDTH);
  const bar = "█".repeat(filled) + "·".repeat(BAR_WIDTH - filled);
  return `Queue    ${bar} ${queued} values (most so far ${mostQueued})`;
}

function ledgerLines(frame: DemoFrame, rates: Rates): string[] {
  const { ledger } = frame.status.store;
  const cell = (value: number): string => String(value).padStart(9);
  return [
    `${BOLD}Ledger${RESET}   received ${cell(ledger.received)} = stored ${cell(ledger.stored)} + filtered ${total(ledger.filtered)} + rejected ${total(ledger.rejected)}`,
    `         stored   ${cell(ledger.stored)} = acknowledged ${cell(ledger.acknowledged)} + queued ${ledger.queued} + dropped ${total(ledger.dropped)} + quarantined ${ledger.quarantined}`,
    `Rates    in ${rates.receivedPerSecond.toFixed(0)} values/s, acknowledged ${rates.acknowledgedPerSecond.toFixed(0)} values/s`,
  ];
}
