import { type ReasonCounts, total } from "#sdk/ledger";
import { countText, durationText, rateText, sizeText } from "./plain-words.ts";
import type { ConnectorStatus, DeviceStatus } from "./status.ts";
import type { StatusReport } from "./status-protocol.ts";

/** The gateway as a whole, as subject and sentence. `nowMs`: epoch milliseconds. */
export function summaryWords(
  status: StatusReport,
  nowMs: number,
): readonly (readonly [subject: string, text: string])[] {
  return [
    ["Gateway", gatewayWords(status)],
    ["Uplink", uplinkWords(status, nowMs)],
    ["Rates", ratesWords(status)],
    ["Queue", queueWords(status, nowMs)],
    ["Buffer", bufferWords(status)],
    ["Clock", CLOCK[status.clock]],
  ];
}

/** The ledger as name, count and remark. */
export function ledgerWords({
  store: { ledger },
}: Pick<StatusReport, "store">): readonly (readonly [
  name: string,
  count: string,
  remark: string,
])[] {
  const reasons = (
    name: "filtered" | "rejected" | "dropped",
  ): readonly [string, string, string] => [
    name,
    countText(total(ledger[name])),
    reasonWords(ledger[name]),
  ];
  return [
    ["received", countText(ledger.received), "= stored + filtered + rejected"],
    reasons("filtered"),
    reasons("rejected"),
    ["stored", countText(ledger.stored), "= acknowledged + queued + dropped + quarantined"],
    ["acknowledged", countText(ledger.acknowledged), ""],
    ["queued", countText(ledger.queued), ""],
    reasons("dropped"),
    [
      "quarantined",
      countText(ledger.quarantined),
      ledger.quarantined > 0 ? "see tbgw store info" : "",
    ],
  ];
}

const CLOCK = {
  set: "set",
  "not-set": "not set: data is kept and goes out once the machine knows the time",
} as const;

function gatewayWords(status: StatusReport): string {
  const running = `tbgw ${status.version}, running for ${durationText(status.uptimeMs)}`;
  const restarts = some(
    status.threadRestarts,
    "restart of its delivery thread",
    "restarts of its delivery thread",
  );
  const delivery =
    status.delivery === "answering"
      ? ""
      : ". The delivery thread does not answer: a slow or stuck disk? What follows is old";
  return `${running}, process ${status.pid}${restarts}, data in ${status.dataDir}${delivery}`;
}

function uplinkWords({ link, uplink, sender }: StatusReport, nowMs: number): string {
  const since = durationText(uplink.sinceMs);
  const host = link.host ?? "the platform";
  const reconnects = some(uplink.reconnects, "reconnect");
  if (link.state === "connected") {
    const rtt =
      sender.rttMs === undefined ? "" : `, acknowledges after ${Math.round(sender.rttMs)} ms`;
    return `connected to ${host} for ${since}, MQTT ${link.protocol ?? "?"}${rtt}${reconnects}`;
  }
  const why = link.detail === undefined || link.detail === "" ? "" : `: ${link.detail}`;
  const retry =
    link.retryAt === undefined
      ? ""
      : `; next attempt in ${durationText(Math.max(0, link.retryAt - nowMs))}`;
  return `${LINK_WORDS[link.state]} ${host}, without a connection for ${since}${why}${retry}${reconnects}`;
}

const LINK_WORDS = {
  idle: "not started to",
  connecting: "connecting to",
  connected: "connected to",
  down: "no connection to",
  refused: "the credentials are refused by",
  "not-a-gateway": "the device is not marked as gateway on",
  stopped: "stopped to",
} as const;

function ratesWords({ rates }: StatusReport): string {
  const parts = [
    `received ${rateText(rates.received)}/s`,
    `stored ${rateText(rates.stored)}/s`,
    `acknowledged ${rateText(rates.acknowledged)}/s`,
  ];
  return `${parts.join(", ")} (values, over the last minute)`;
}

function queueWords({ store, sender }: StatusReport, nowMs: number): string {
  const { oldestTs, values, records, bytes, maxBytes } = store;
  const size = `${sizeText(bytes)} of ${sizeText(maxBytes)}`;
  if (values === 0) {
    return `empty, ${size} in use`;
  }
  const age =
    oldestTs === undefined ? "" : `, oldest ${durationText(Math.max(0, nowMs - oldestTs))} ago`;
  return `${countText(values)} values in ${countText(records)} records, ${size}${age}, ${sender.inFlight} publishes in flight`;
}

function bufferWords({ outlook, storage, store, rates }: StatusReport): string {
  const kept = store.durable ? "on the disk" : "not safe from a power cut";
  const where = storage === "memory" ? "in memory only, lost at a restart" : kept;
  const parts: string[] = [];
  if (outlook.lastsMs !== undefined) {
    parts.push(`lasts ${durationText(outlook.lastsMs)} at this rate`);
  } else {
    parts.push(rates.stored > 0 ? "does not grow at present" : "nothing comes in at present");
  }
  if (outlook.clearsInMs !== undefined) {
    parts.push(`backlog clears in ${durationText(outlook.clearsInMs)}`);
  } else if (outlook.fullInMs !== undefined) {
    parts.push(`full in ${durationText(outlook.fullInMs)} if it goes on growing`);
  }
  return `${parts.join("; ")} (${where})`;
}

/** Counts by reason, the largest first. */
function reasonWords(counts: ReasonCounts): string {
  return Object.entries(counts)
    .toSorted((left, right) => right[1] - left[1])
    .map(([reason, count]) => `${reason} ${countText(count)}`)
    .join(", ");
}

/** The state of a connector and its links. */
export function connectorWords(connector: ConnectorStatus): string {
  const { type, state, link, detail, restarts, devices } = connector;
  const parts: string[] = [state];
  if (link !== undefined && state === "running") {
    parts.push(link);
  }
  parts.push(plural(devices, "device"));
  if (restarts > 0) {
    parts.push(plural(restarts, "restart"));
  }
  const unusable = total(connector.rejected);
  if (unusable > 0) {
    parts.push(`${countText(unusable)} not usable (${reasonWords(connector.rejected)})`);
  }
  return `${type}: ${parts.join(", ")}${detail === undefined ? "" : `; ${detail}`}`;
}

/** How many devices there are. */
export function devicesWords({ devices, deviceList, devicesOmitted }: StatusReport): string {
  const known = deviceList.length + devicesOmitted;
  return `${countText(devices)} connected of ${countText(known)} known`;
}

/** How a device is doing. */
export function deviceWords(device: DeviceStatus): string {
  const { connected, lastReadAgoMs, lastError, lastErrorAgoMs, errors } = device;
  const read = lastReadAgoMs === undefined ? "not read yet" : `read ${ago(lastReadAgoMs)}`;
  const parts = [connected ? read : `not connected, ${read}`];
  if (lastError !== undefined && lastErrorAgoMs !== undefined) {
    parts.push(`${plural(errors, "error")}, last ${ago(lastErrorAgoMs)}: ${lastError}`);
  }
  return parts.join("; ");
}

function ago(ms: number): string {
  return ms < 1000 ? "just now" : `${durationText(ms)} ago`;
}

/** `, 3 reconnects`; nothing when there is none. */
function some(count: number, one: string, many = `${one}s`): string {
  return count === 0 ? "" : `, ${countText(count)} ${count === 1 ? one : many}`;
}

function plural(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}
