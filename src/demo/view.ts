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
const DEVICE_WIDTH = 14;
/** A key and its value. */
const CELL_WIDTH = 31;

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
    `${BOLD}tbgw demo${RESET}  ${DIM}MQTT, Modbus, OPC UA → gateway with durable store → ThingsBoard   ${info.seconds.toFixed(0)} s${RESET}`,
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

/** Two keys a line: all devices fit into a terminal of 80 columns and 24 rows. */
function valueLines(frame: DemoFrame): string[] {
  const lines = [`${BOLD}${"Device".padEnd(DEVICE_WIDTH)}Values on the platform${RESET}`];
  for (const [device, values] of Map.groupBy(frame.values, (value) => value.device)) {
    const cells = values.map(
      ({ key, text }) => `${key} ${text.padStart(CELL_WIDTH - key.length - 1)}`,
    );
    for (let at = 0; at < cells.length; at += 2) {
      const name = (at === 0 ? device : "").padEnd(DEVICE_WIDTH);
      lines.push(`${name}${cells.slice(at, at + 2).join("  ")}`.trimEnd());
    }
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
