import * as v from "valibot";
import { entries, field, optional, required } from "#sdk/config";
import { reportStrategy } from "#sdk/report-strategy";
import { DEFAULT_TOTAL_BYTES } from "../logging/log-budget.ts";
import { provisioning } from "./provisioning.ts";
import { gatewayStrategy } from "./report-strategy.ts";
import { security } from "./security.ts";
import { STATISTICS_DEFAULT, statistics } from "./statistics.ts";
import { storage } from "./storage.ts";
import { anyCase, atLeast, port, whole } from "./values.ts";

const RATE = /^\s*(?:DEFAULT_[A-Z_]+|(?:\d+\s*:\s*\d+\s*[,;]?\s*)*)$/;

function rateLimit(what: string, fallback: string) {
  const form = v.regex(
    RATE,
    'must look like "10:1,300:60" (count:seconds), or be empty for no limit',
  );
  return field(v.pipe(v.string(), form), fallback, {
    doc: `Limit of ${what} until the server tells its own: \`count:seconds\`, several separated by commas.`,
    examples: ["10:1,300:60"],
  });
}

const deviceFiltering = v.looseObject({
  enable: field(v.boolean(), false, { doc: "Whether the filter file is used." }),
  filterFile: field(v.string(), "list.json", {
    doc: "File in the configuration directory with the names to deny and to allow.",
  }),
});

const checkingDeviceActivity = v.looseObject({
  checkDeviceInactivity: field(v.boolean(), false, {
    doc: "Disconnects devices that have sent nothing for a while.",
  }),
  inactivityTimeoutSeconds: field(atLeast(1), 50, { doc: "How long that while is.", unit: "s" }),
  inactivityCheckPeriodSeconds: field(atLeast(1), 1, { doc: "How often to look.", unit: "s" }),
});

const connection = {
  host: optional(v.union([v.string(), v.array(v.string())]), {
    doc: "Host of the ThingsBoard server. The nodes of a cluster as a list, or separated by commas, each optionally with `:port`; they are tried in turn. Needed here or in `TB_GW_HOST`.",
    reference: true,
    wizard: "Host of the ThingsBoard server",
    examples: ["thingsboard.cloud", ["tb1.example.com", "tb2.example.com"]],
  }),
  port: field(port, 1883, {
    doc: "MQTT port; 8883 switches TLS on.",
    reference: true,
    wizard: "MQTT port",
  }),
  keep_alive: field(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)), 120, {
    doc: "Longest silence on the connection.",
    unit: "s",
  }),
  qos: field(v.picklist([0, 1]), 1, {
    doc: "0 counts as 1: without acknowledgement data is lost.",
  }),
  proxy_host: optional(v.string(), {
    doc: "HTTP proxy that connections go through (CONNECT), with TLS inside where that is on. It looks `host` up.",
    reference: true,
  }),
  proxy_port: optional(port, { doc: "Port of the HTTP proxy. Default: 8080.", reference: true }),
  security: optional(security, { doc: "How the gateway proves who it is." }),
  provisioning: optional(provisioning, {
    doc: "How the gateway gets its credentials from the platform. Used when there is no `security` section.",
  }),
};

const remote = {
  remoteShell: field(v.boolean(), false, {
    doc: "Shell commands by RPC. Opens nothing unless `tbgw.allowRemoteShell` is on too.",
  }),
  remoteConfiguration: field(v.boolean(), false, {
    doc: "Configuration from the platform. Always on without connectors.",
  }),
  latencyDebugMode: field(v.boolean(), false, {
    doc: "Adds to telemetry when it was received and when it was published, for the platform's latency statistics.",
  }),
  managerEnabled: optional(v.unknown(), {
    doc: "Local shell of the Python gateway; use `tbgw status`.",
    ignored: true,
  }),
};

const traffic = {
  statistics: field(statistics, STATISTICS_DEFAULT, { doc: "Statistics sent to the platform." }),
  deviceFiltering: field(deviceFiltering, {}, { doc: "Leaves out devices by name." }),
  maxPayloadSizeBytes: field(whole(256), 8196, {
    doc: "Upper bound of one message. 8196, the value of the installed file, means: what the server takes.",
    unit: "bytes",
  }),
  minPackSendDelayMS: optional(v.unknown(), {
    doc: "Poll pause of the Python gateway.",
    ignored: true,
  }),
  minPackSizeToSend: optional(v.unknown(), {
    doc: "Pack size of the Python gateway.",
    ignored: true,
  }),
  checkConnectorsConfigurationInSeconds: field(atLeast(1), 60, {
    doc: "How often the configuration files are looked at for changes.",
    unit: "s",
  }),
  handleDeviceRenaming: field(v.boolean(), true, {
    doc: "Follows devices that are renamed on the platform.",
  }),
  syncDevicesSharedAttributesOnConnect: field(v.boolean(), true, {
    doc: "Fetches the shared attributes of a device when it is announced.",
  }),
  checkingDeviceActivity: field(checkingDeviceActivity, {}, { doc: "Watches for silent devices." }),
  reportStrategy: field(
    gatewayStrategy,
    {},
    {
      doc: "When values go up, unless connector, device or key say otherwise.",
    },
  ),
  reportStrategyDataCacheCleanupInterval: field(atLeast(1), 3600, {
    doc: "How often values past their `ttl` are forgotten.",
    unit: "s",
  }),
  rateLimits: rateLimit("the gateway's own telemetry messages", "DEFAULT_TELEMETRY_RATE_LIMIT"),
  dpRateLimits: rateLimit("the gateway's own data points", "DEFAULT_TELEMETRY_DP_RATE_LIMIT"),
  messagesRateLimits: rateLimit("the gateway's other own messages", "DEFAULT_MESSAGES_RATE_LIMIT"),
  deviceRateLimits: rateLimit(
    "telemetry messages of all devices together",
    "DEFAULT_TELEMETRY_RATE_LIMIT",
  ),
  deviceDpRateLimits: rateLimit(
    "data points of all devices together",
    "DEFAULT_TELEMETRY_DP_RATE_LIMIT",
  ),
  deviceMessagesRateLimits: rateLimit(
    "other messages of all devices together",
    "DEFAULT_MESSAGES_RATE_LIMIT",
  ),
  ts: optional(v.unknown(), { doc: "Written by remote configuration.", ignored: true }),
};

/** One element of `connectors`. */
export const connectorEntry = v.looseObject({
  type: required(v.pipe(v.string(), v.trim(), v.toLowerCase(), v.minLength(1)), {
    doc: "Protocol, or the type an extension provides.",
    examples: ["mqtt"],
  }),
  name: required(v.pipe(v.string(), v.minLength(1)), {
    doc: "Name of the connector, unique; seen in logs, status and on the platform.",
  }),
  configuration: required(v.pipe(v.string(), v.minLength(1)), {
    doc: "The connector's file in the configuration directory.",
    examples: ["mqtt.json"],
  }),
  class: optional(v.string(), { doc: "Name of the connector definition in an extension." }),
  isolation: optional(v.picklist(["worker"]), {
    doc: "`worker`: the connector and its converters run in a thread of their own, which costs memory; one that hangs, crashes or fills the memory is ended and started again, and disturbs nobody else.",
  }),
  startTimeoutMs: field(whole(1), 30_000, {
    doc: "How long the `create` of the connector may take; then it is started again after a pause.",
    unit: "ms",
  }),
  key: optional(v.unknown(), { doc: "gRPC connectors of the Python gateway only.", ignored: true }),
  useGRPCForce: optional(v.unknown(), {
    doc: "gRPC connectors of the Python gateway only.",
    ignored: true,
  }),
});

/** One element of `connectors` after the checks; `type` is in lower case. */
export type ConnectorEntry = v.InferOutput<typeof connectorEntry>;

const web = v.looseObject({
  enabled: field(v.boolean(), true, {
    doc: "Serves status page, `/metrics`, `/healthz`, `/readyz`.",
  }),
  host: field(v.string(), "127.0.0.1", {
    doc: "Address to listen on; only this machine can reach the default.",
    reference: true,
  }),
  port: field(port, 9464, { doc: "Port to listen on.", reference: true }),
});

const logs = v.looseObject({
  maxTotalBytes: field(whole(2 ** 20), DEFAULT_TOTAL_BYTES, {
    doc: "What all log files together may take. The oldest that were put aside are removed beyond it, and a file is put aside early before it takes too large a share.",
    unit: "bytes",
  }),
});

const own = v.looseObject({
  allowRemoteShell: field(v.boolean(), false, {
    doc: "Lets the platform run shell commands, if `thingsboard.remoteShell` is on too.",
  }),
  allowStatisticsCommands: field(v.boolean(), false, {
    doc: "Lets the custom statistics run their commands, which the platform may set.",
  }),
  allowReboot: field(v.boolean(), false, { doc: "Lets the platform reboot the machine." }),
  web: field(web, {}, { doc: "The local web server." }),
  logs: field(logs, {}, { doc: "The log files that `logs.json` names." }),
  repeatTimestamp: field(v.picklist(["sample", "sent"]), "sample", {
    doc: "Timestamp of a value that a report period repeats: when it was measured, or when it is sent, as the Python gateway does.",
  }),
});

/** `tb_gateway.json`, the main file. */
export const gatewayConfig = v.looseObject({
  thingsboard: field(
    v.looseObject({ ...connection, ...remote, ...traffic }),
    {},
    {
      doc: "The platform and how to behave towards it.",
    },
  ),
  storage: field(storage, {}, { doc: "Where data waits for the platform." }),
  grpc: optional(v.unknown(), {
    doc: "gRPC server of the Python gateway: not supported, kept in the file.",
    ignored: true,
  }),
  connectors: field(entries(connectorEntry), [], { doc: "The connectors and their files." }),
  tbgw: field(
    own,
    {},
    {
      doc: "Settings that only this machine may change: remote configuration never reads, writes or publishes them.",
    },
  ),
});

/** The parsed main file. */
export type GatewayConfig = v.InferOutput<typeof gatewayConfig>;

/** What the core reads at the root of every connector file; all other keys are the connector's. */
export const connectorRoot = v.looseObject({
  id: optional(v.pipe(v.string(), v.minLength(1)), {
    doc: "UUID of the connector. Default: made from type and name, the same at every start.",
  }),
  name: optional(v.unknown(), {
    doc: "The entry in `tb_gateway.json` names the connector.",
    ignored: true,
  }),
  logLevel: field(
    anyCase(["TRACE", "DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "NONE", "NOTSET"]),
    "INFO",
    { doc: "From which level on the connector logs." },
  ),
  enableRemoteLogging: field(v.boolean(), false, {
    doc: "Sends the connector's log to the platform.",
  }),
  reportStrategy: optional(reportStrategy, {
    doc: "When values go up, unless device or key say otherwise.",
  }),
  configVersion: optional(v.unknown(), { doc: "For information only.", ignored: true }),
});
