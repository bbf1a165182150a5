import type { HttpReply } from "#platform/server";
import type { ReasonCounts } from "#sdk/ledger";
import type { ConnectorStatus, GatewayStatus } from "../../service/status.ts";
import { type Family, OpenMetrics } from "../open-metrics.ts";
import { reply } from "../reply.ts";
import type { WebSources } from "../sources.ts";

const STATUS_MS = 2000;
const CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/** Reasons, connectors and counters of one family, at most: what is made from data must not fill the scraper's memory. */
const MAX_SAMPLES = 200;
const OTHER = "other";

const LINK_STATES = [
  "idle",
  "connecting",
  "connected",
  "down",
  "refused",
  "not-a-gateway",
  "stopped",
] as const;

/** Counters of a connector that have a family of their own; the rest is in `tbgw_connector_events`. */
const OWN_FAMILY: Readonly<Record<string, Family>> = {
  connectorMsgsReceived: {
    name: "tbgw_connector_received_messages",
    type: "counter",
    help: "Messages a connector has received",
  },
  connectorBytesReceived: {
    name: "tbgw_connector_received_bytes",
    type: "counter",
    help: "Bytes a connector has received",
    unit: "bytes",
  },
  storageMsgPushed: {
    name: "tbgw_connector_stored_records",
    type: "counter",
    help: "Records of a connector that went into the event store",
  },
};

/** `/metrics`: OpenMetrics 1.0. The ledger's families hold what `tbgw status` and the ledger in the log say. */
export async function metricsRoute(sources: WebSources): Promise<HttpReply> {
  const status = await sources.status(STATUS_MS);
  return reply(200, CONTENT_TYPE, metricsText(status, sources.now()));
}

/** The text of `/metrics`. `nowMs`: epoch milliseconds. */
export function metricsText(status: GatewayStatus, nowMs: number): string {
  const out = new OpenMetrics();
  addProcess(out, status);
  addLedger(out, status);
  addStore(out, status, nowMs);
  addUplink(out, status);
  addLogs(out, status);
  addCalls(out, status);
  addReports(out, status);
  addConnectors(out, status.connectors);
  return out.text();
}

function addProcess(out: OpenMetrics, status: GatewayStatus): void {
  const { user, system } = process.cpuUsage();
  out.add({ name: "tbgw_build", type: "info", help: "Version of the program" }, [
    [{ version: status.version }, 1],
  ]);
  gauge(out, "tbgw_uptime_seconds", "Time since the start of the process", status.uptimeMs / 1000);
  gauge(out, "process_resident_memory_bytes", "Memory in use", process.memoryUsage.rss());
  out.add(
    { name: "process_cpu_seconds", type: "counter", help: "Processor time", unit: "seconds" },
    [[{}, (user + system) / 1e6]],
  );
  gauge(out, "tbgw_clock_set", "1 when the machine knows the time", Number(status.clock === "set"));
  gauge(out, "tbgw_devices_connected", "Devices that are connected", status.devices);
  const answering = Number(status.delivery === "answering");
  gauge(out, "tbgw_delivery_answering", "1 while the delivery thread answers", answering);
  counter(out, "tbgw_delivery_restarts", "Restarts of the delivery thread", status.threadRestarts);
  out.add({ name: "tbgw_watchdog_steps", type: "counter", help: "Renewals of a stuck uplink" }, [
    [{ step: "reconnect" }, status.watchdog.reconnects],
    [{ step: "rebuild" }, status.watchdog.rebuilds],
  ]);
}

function addLogs(out: OpenMetrics, { logs: { dropped, remote } }: GatewayStatus): void {
  counter(out, "tbgw_log_dropped_lines", "Log lines that were not written", dropped);
  counter(out, "tbgw_remote_log_sent_lines", "Log lines sent to the platform", remote.shipped);
  const help = "Log lines for the platform that were left out";
  counter(out, "tbgw_remote_log_dropped_lines", help, remote.dropped);
}

/** Unit: one value. Kept over restarts, so that the sums hold at any time. */
function addLedger(out: OpenMetrics, { store: { ledger } }: GatewayStatus): void {
  counter(out, "tbgw_values_received", "Values received", ledger.received);
  counter(out, "tbgw_values_stored", "Values stored", ledger.stored);
  byReason(out, "tbgw_values_filtered", "Values held back on purpose", ledger.filtered);
  byReason(out, "tbgw_values_rejected", "Values that cannot be sent", ledger.rejected);
  counter(out, "tbgw_values_acknowledged", "Values the platform has taken", ledger.acknowledged);
  byReason(out, "tbgw_values_dropped", "Values lost after they were stored", ledger.dropped);
  counter(out, "tbgw_values_quarantined", "Values set aside", ledger.quarantined);
  gauge(out, "tbgw_values_queued", "Values that wait for the platform", ledger.queued);
}

function addReports(out: OpenMetrics, { reports }: GatewayStatus): void {
  gauge(out, "tbgw_report_keys", "Keys that report strategies remember", reports.keys);
  counter(out, "tbgw_report_keys_evicted", "Keys forgotten to make room", reports.evicted);
  counter(out, "tbgw_period_reports", "Values sent by a report period", reports.reports);
  const help = "Report periods that ended without a sample to send";
  counter(out, "tbgw_periods_without_sample", help, reports.periodsWithoutSample);
}

function addStore(out: OpenMetrics, { store, outlook }: GatewayStatus, nowMs: number): void {
  gauge(out, "tbgw_store_records", "Records that wait for the platform", store.records);
  gauge(out, "tbgw_store_size_bytes", "Bytes in use of the quota", store.bytes);
  gauge(out, "tbgw_store_quota_bytes", "The quota", store.maxBytes);
  const ageMs = store.oldestTs === undefined ? 0 : Math.max(0, nowMs - store.oldestTs);
  gauge(out, "tbgw_store_oldest_age_seconds", "Age of the oldest record that waits", ageMs / 1000);
  if (outlook.lastsMs !== undefined) {
    const help = "How long the store keeps everything at this rate without the platform";
    gauge(out, "tbgw_store_horizon_seconds", help, outlook.lastsMs / 1000);
  }
}

function addUplink(out: OpenMetrics, { link, uplink, sender }: GatewayStatus): void {
  const name = "tbgw_uplink_state";
  out.add(
    { name, type: "stateset", help: "State of the connection to the platform" },
    LINK_STATES.map((state) => [{ [name]: state }, Number(link.state === state)]),
  );
  counter(out, "tbgw_uplink_reconnects", "Connections after the first one", uplink.reconnects);
  counter(out, "tbgw_uplink_publishes", "Messages sent to the platform", sender.publishes);
  counter(out, "tbgw_uplink_resends", "Messages sent again", sender.resends);
  out.add(
    {
      name: "tbgw_uplink_sent_bytes",
      type: "counter",
      help: "Bytes sent, TLS excluded",
      unit: "bytes",
    },
    [[{}, sender.bytesSent]],
  );
  gauge(out, "tbgw_uplink_in_flight", "Messages without an acknowledgement", sender.inFlight);
  if (sender.rttMs !== undefined) {
    const help = "Time to the acknowledgement, smoothed";
    gauge(out, "tbgw_uplink_round_trip_seconds", help, sender.rttMs / 1000);
  }
}

function addConnectors(out: OpenMetrics, all: readonly ConnectorStatus[]): void {
  const connectors = all.slice(0, MAX_SAMPLES);
  const each = (value: (connector: ConnectorStatus) => number) =>
    connectors.map(
      (one) => [{ connector: one.name, connector_type: one.type }, value(one)] as const,
    );
  const isRunning = (one: ConnectorStatus): number => Number(one.state === "running");
  out.add(
    { name: "tbgw_connector_running", type: "gauge", help: "1 while a connector runs" },
    each(isRunning),
  );
  out.add(
    { name: "tbgw_connector_linked", type: "gauge", help: "1 while all links of it are up" },
    each((one) => isRunning(one) && Number(one.link === "connected")),
  );
  out.add(
    { name: "tbgw_connector_restarts", type: "counter", help: "Restarts of a connector" },
    each((one) => one.restarts),
  );
  out.add(
    { name: "tbgw_connector_devices", type: "gauge", help: "Connected devices of a connector" },
    each((one) => one.devices),
  );
  for (const [key, family] of Object.entries(OWN_FAMILY)) {
    out.add(
      family,
      each((one) => one.counters[key] ?? 0),
    );
  }
  addEvents(out, connectors);
}

/** Deliveries are repetitions too; each ends as one reply. */
function addCalls(out: OpenMetrics, { calls }: GatewayStatus): void {
  counter(out, "tbgw_rpc_deliveries", "Calls of the platform, repetitions too", calls.deliveries);
  counter(out, "tbgw_rpc_executions", "Calls that were executed", calls.executions);
  counter(out, "tbgw_rpc_timeouts", "Calls without an answer in time", calls.timedOut);
  counter(out, "tbgw_rpc_overflows", "Calls refused because too many wait", calls.overflow);
  out.add({ name: "tbgw_rpc_replies", type: "counter", help: "What became of replies" }, [
    [{ outcome: "acknowledged" }, calls.sent],
    [{ outcome: "late" }, calls.late],
    [{ outcome: "unacknowledged" }, calls.unacknowledged],
    [{ outcome: "refused" }, calls.refused],
    [{ outcome: "dropped" }, calls.dropped],
  ]);
}

/** Every other counter, under the name its connector gave it. */
function addEvents(out: OpenMetrics, connectors: readonly ConnectorStatus[]): void {
  const samples = connectors.flatMap(({ name, counters }) =>
    Object.entries(counters)
      .filter(([event]) => !Object.hasOwn(OWN_FAMILY, event))
      .map(([event, count]) => [{ connector: name, event }, count] as const),
  );
  const help = "What a connector counts besides";
  out.add(
    { name: "tbgw_connector_events", type: "counter", help },
    samples.slice(0, 10 * MAX_SAMPLES),
  );
}

function gauge(out: OpenMetrics, name: string, help: string, value: number): void {
  const unit = /_(bytes|seconds)$/.exec(name)?.[1];
  const family = { name, type: "gauge", help } as const;
  out.add(unit === "bytes" || unit === "seconds" ? { ...family, unit } : family, [[{}, value]]);
}

function counter(out: OpenMetrics, name: string, help: string, value: number): void {
  out.add({ name, type: "counter", help }, [[{}, value]]);
}

/** The sum over all reasons is right however many there are: those above the limit are one. */
function byReason(out: OpenMetrics, name: string, help: string, counts: ReasonCounts): void {
  const entries = Object.entries(counts).toSorted((left, right) => right[1] - left[1]);
  const kept = new Map(entries.slice(0, MAX_SAMPLES));
  for (const [, count] of entries.slice(MAX_SAMPLES)) {
    kept.set(OTHER, (kept.get(OTHER) ?? 0) + count);
  }
  out.add(
    { name, type: "counter", help },
    [...kept].map(([reason, count]) => [{ reason }, count] as const),
  );
}
