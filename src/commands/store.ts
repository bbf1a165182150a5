import { join } from "node:path";
import { defineCommand } from "citty";
import { findDataDir } from "../config/directories.ts";
// This command looks into the file itself, running or not: it loads the storage for reading and starts no second store.
import { type StoreInfo, StoreInspector, type StoreVerdict } from "../storage/inspect.ts";
import { print } from "./print.ts";

/** Name of the store's file in the data folder. */
const STORE_FILE = "events.db";

/** Records printed at once. */
const EXPORT_CHUNK = 500;

const args = {
  data: {
    type: "string",
    valueHint: "DIR",
    description: "Data directory (default: the one that run would use)",
  },
  json: { type: "boolean", description: "Print one JSON object" },
} as const;

function open(dataDir: string | undefined): StoreInspector {
  return new StoreInspector(
    join(findDataDir({ dataDir, env: process.env, cwd: process.cwd() }), STORE_FILE),
  );
}

/** What the store in a data directory says of itself. @throws Error when there is none, or it cannot be read */
export function storeInfo(dataDir: string): StoreInfo {
  using store = open(dataDir);
  return store.info();
}

function time(epochMs: number | undefined): string {
  return epochMs === undefined ? "-" : new Date(epochMs).toISOString();
}

function duration(ms: number | undefined): string {
  if (ms === undefined) {
    return "not known";
  }
  const hours = ms / 3_600_000;
  return hours < 1 ? `${Math.round(ms / 60_000)} min` : `${hours.toFixed(1)} h`;
}

function reasons(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([reason, count]) => `${reason} ${count}`);
  return parts.length === 0 ? "0" : parts.join(", ");
}

/** What `tbgw store info` prints for people. */
export function infoText(info: StoreInfo): string {
  const { ledger } = info;
  const quota = info.maxBytes === undefined ? "" : ` of ${info.maxBytes}`;
  const lines = [
    `Store        ${info.path}`,
    `Waiting      ${info.records} records, ${info.values} values`,
    `Size         ${info.bytes}${quota} bytes`,
    `Oldest       ${time(info.oldestTs)}`,
    `Newest       ${time(info.newestTs)}`,
    `Horizon      ${duration(info.horizonMs)}`,
    "",
    `Received     ${ledger.received}`,
    `Filtered     ${reasons(ledger.filtered)}`,
    `Rejected     ${reasons(ledger.rejected)}`,
    `Stored       ${ledger.stored}`,
    `Acknowledged ${ledger.acknowledged}`,
    `Queued       ${ledger.queued}`,
    `Dropped      ${reasons(ledger.dropped)}`,
    `Quarantined  ${ledger.quarantined}`,
  ];
  if (info.quarantine.length > 0) {
    lines.push("", `In quarantine (${info.quarantineForgotten} older ones were forgotten):`);
    for (const entry of info.quarantine) {
      lines.push(`${time(entry.time)} ${entry.reason}: ${entry.record.trimEnd()}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** What `tbgw store verify` prints for people. */
export function verdictText(verdict: StoreVerdict): string {
  const lines = [`Store   ${verdict.path}`, `Blocks  ${verdict.blocks}`];
  lines.push(`File    ${verdict.file ?? "ok"}`);
  for (const { block, reason } of verdict.damaged) {
    lines.push(`Damaged block ${block}: ${reason}`);
  }
  for (const entry of verdict.evidence) {
    const what = entry.block === 0 ? "values" : `values of block ${entry.block}`;
    lines.push(`Lost on ${time(entry.time)}: ${entry.values} ${what}: ${entry.reason}`);
  }
  for (const name of verdict.setAside) {
    lines.push(`Set aside: ${name}`);
  }
  lines.push(`Values lost by damage so far: ${verdict.lostValues}`);
  if (verdict.imbalance !== 0) {
    lines.push(`Values not accounted for: ${verdict.imbalance}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Whether blocks are damaged or values not accounted for. */
export function isBroken(verdict: StoreVerdict): boolean {
  return (
    verdict.damaged.length > 0 ||
    verdict.evidence.length > 0 ||
    verdict.file !== undefined ||
    verdict.imbalance !== 0
  );
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

const info = defineCommand({
  meta: { name: "info", description: "What waits, what became of the rest, and the quarantine" },
  args,
  run: async ({ args: given }) => {
    using store = open(given.data);
    const found = store.info();
    await print(given.json === true ? json(found) : infoText(found));
    return 0;
  },
});

const exporting = defineCommand({
  meta: { name: "export", description: "Print the waiting records, one JSON object a line" },
  args: { data: args.data },
  run: async ({ args: given }) => {
    using store = open(given.data);
    let lines: string[] = [];
    let damaged = 0;
    const onDamaged = (block: number, reason: string): void => {
      damaged += 1;
      process.stderr.write(`tbgw: block ${block} is damaged: ${reason}\n`);
    };
    for (const { cursor, json: text, ...record } of store.records(onDamaged)) {
      // The record's own JSON is passed on as it is: parsing it would turn 25.0 into 25.
      const head = JSON.stringify({ cursor: String(cursor), ...record });
      lines.push(`${head.slice(0, -1)},"json":${text}}\n`);
      if (lines.length >= EXPORT_CHUNK) {
        await print(lines.join(""));
        lines = [];
      }
    }
    await print(lines.join(""));
    return damaged === 0 ? 0 : 1;
  },
});

const verify = defineCommand({
  meta: {
    name: "verify",
    description: "Read everything and name what is damaged; exit code 1 if any",
  },
  args,
  run: async ({ args: given }) => {
    using store = open(given.data);
    const verdict = store.verify();
    await print(given.json === true ? json(verdict) : verdictText(verdict));
    return isBroken(verdict) ? 1 : 0;
  },
});

/** `tbgw store info`, `tbgw store export` and `tbgw store verify`. */
export const storeCommand = defineCommand({
  meta: { name: "store", description: "Look into the event store, running or not" },
  subCommands: { info, export: exporting, verify },
});
