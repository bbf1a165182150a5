import type { ReasonCounts } from "#sdk/ledger";
import { countText, labelled } from "./plain-words.ts";
import type { ConnectorReport, StatusReport } from "./status-protocol.ts";
import {
  connectorWords,
  devicesWords,
  deviceWords,
  ledgerWords,
  summaryWords,
} from "./status-words.ts";

/** Where the text of a line begins. */
const INDENT = 13;
/** Where the text of a line in a list begins. */
const LIST_INDENT = 24;

/** What `tbgw status` prints for people: plain words in 80 columns. `nowMs`: epoch milliseconds. */
export function statusText(status: StatusReport, nowMs: number): string {
  const { connectors, deviceList } = status;
  const lines = [
    ...summaryWords(status, nowMs).map(([subject, text]) => labelled(subject, text, INDENT)),
    "",
    ...ledgerLines(status),
    "",
    connectors.length === 0 ? "Connectors   none configured" : "Connectors",
    ...connectors.map((one) => labelled(`  ${one.name}`, connectorWords(one), LIST_INDENT)),
    "",
    labelled("Devices", devicesWords(status), INDENT),
    ...deviceList.map((one) => labelled(`  ${one.name}`, deviceWords(one), LIST_INDENT)),
  ];
  if (status.devicesOmitted > 0) {
    lines.push(`  and ${countText(status.devicesOmitted)} more: tbgw status --devices`);
  }
  return `${lines.join("\n")}\n`;
}

/** What `tbgw status --connector NAME` prints for people. */
export function connectorText(report: ConnectorReport): string {
  const lines = [
    labelled("Connector", `${report.name} (${report.type}), id ${report.id}`, INDENT),
    labelled("State", connectorWords(report), INDENT),
    ...countLines("Counters", report.counters),
    ...countLines("Not usable", report.rejected),
    "",
    "Configuration, secrets hidden:",
    JSON.stringify(report.configuration, undefined, 2),
  ];
  return `${lines.join("\n")}\n`;
}

function countLines(title: string, counts: ReasonCounts): readonly string[] {
  const entries = Object.entries(counts);
  return entries.length === 0
    ? []
    : ["", title, ...entries.map(([name, count]) => `  ${name.padEnd(28)} ${countText(count)}`)];
}

function ledgerLines(status: StatusReport): readonly string[] {
  const lines = ledgerWords(status).map(([name, count, remark]) =>
    labelled(`  ${name.padEnd(13)}${count.padStart(15)}`, remark, 32),
  );
  return ["Ledger       every value since the store exists, kept over restarts", ...lines];
}
