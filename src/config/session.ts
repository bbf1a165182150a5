import type { ParseIssue } from "#sdk/config";
import type {
  LimitPair,
  LimitTexts,
  RateSettings,
  SessionSettings,
  TlsSettings,
} from "../thingsboard/settings.ts";
import type { GatewayConfig } from "./gateway.ts";
import type { Path } from "./issue.ts";
import { isGiven, type Security, wantsTls } from "./security.ts";

type Thingsboard = GatewayConfig["thingsboard"];

/** How to reach the platform, whoever the gateway is there. */
export type Connection = Omit<SessionSettings, "credentials">;

/** A result with what a person should know about it. Paths start at the root of the main file. */
export interface Derived<T> {
  readonly value: T;
  readonly issues: readonly ParseIssue[];
}

/** The payload limit in the installed file, which stands for "as much as the server takes". */
const INSTALLED_PAYLOAD_LIMIT = 8196;
const TLS_PORT = 8883;
/** What the Python gateway takes for an HTTP proxy. */
const PROXY_PORT = 8080;

/**
 * The connection that `thingsboard` describes. `locate` turns the name of a certificate file into an absolute path.
 * Without a usable host `hosts` is empty and there is an error at `thingsboard.host`.
 */
export function toConnection(
  config: Thingsboard,
  security: Security,
  locate: (file: string) => string,
): Derived<Connection> {
  const { value: hosts, issues } = parseHosts(config.host, config.port);
  const usesTlsPort = config.port === TLS_PORT || hosts.some((host) => host.port === TLS_PORT);
  const tls = wantsTls(security) || usesTlsPort;
  const proxy = toProxy(config);
  const limit = config.maxPayloadSizeBytes;
  return {
    value: {
      hosts,
      keepAliveSeconds: config.keep_alive,
      tls: tls ? toTls(security, locate) : undefined,
      maxPayloadBytes: limit === INSTALLED_PAYLOAD_LIMIT ? undefined : limit,
      ...(proxy.value === undefined ? {} : { proxy: proxy.value }),
    },
    issues: [...issues, ...adviseOnTls(config, security, usesTlsPort), ...proxy.issues],
  };
}

/** The HTTP proxy; a port may stand in either key. Without one it is 8080. */
function toProxy(config: Thingsboard): Derived<SessionSettings["proxy"]> {
  const { proxy_host: text, proxy_port: port } = config;
  if (!isGiven(text)) {
    return { value: undefined, issues: [] };
  }
  const path: Path = ["thingsboard", "proxy_host"];
  const parsed = parseHost(text.trim(), port ?? PROXY_PORT);
  if (parsed === undefined) {
    const message = `"${text}" is not a proxy: give a name or an address; the connection is made without it`;
    return { value: undefined, issues: [{ severity: "error", path, message }] };
  }
  const issues: ParseIssue[] = [];
  if (/^[a-z]+:/i.test(text) && !/^http:/i.test(text)) {
    const message = "the proxy is spoken to in HTTP without TLS, whatever the scheme says";
    issues.push({ severity: "warning", path, message });
  }
  return { value: { host: parsed.host, port: parsed.port }, issues };
}

function toTls(security: Security, locate: (file: string) => string): TlsSettings {
  const path = (file: string | undefined): string | undefined =>
    file === undefined || file === "" ? undefined : locate(file);
  return {
    caPath: path(security.caCert),
    certPath: path(security.cert),
    keyPath: path(security.privateKey),
    insecure: security.insecure,
    expiry: {
      checkEveryMs: security.checkCertPeriod * 1000,
      warnDays: security.certificateDaysLeft,
    },
  };
}

function adviseOnTls(
  config: Thingsboard,
  security: Security,
  usesTlsPort: boolean,
): readonly ParseIssue[] {
  const issues: ParseIssue[] = [];
  const path: Path = ["thingsboard", "security"];
  if (security.insecure) {
    const message = "any server certificate is accepted: the connection can be intercepted";
    issues.push({ severity: "warning", path: [...path, "insecure"], message });
  }
  const asked = security.tls || isGiven(security.caCert) || usesTlsPort;
  if (wantsTls(security) && !asked) {
    const message = `"${security.type ?? "privateKey"}" means TLS: port ${config.port} must be a TLS port`;
    issues.push({ severity: "warning", path, message });
  }
  if (isGiven(security.cert) !== isGiven(security.privateKey)) {
    const message = '"cert" and "privateKey" belong together: one of them is missing';
    issues.push({ severity: "error", path, message });
  }
  return issues;
}

/** The nodes of `thingsboard.host`: a name, names separated by commas, or a list; each may carry its own port. */
export function parseHosts(
  host: string | readonly string[] | undefined,
  port: number,
): Derived<SessionSettings["hosts"]> {
  const path: Path = ["thingsboard", "host"];
  const texts = (typeof host === "string" ? [host] : (host ?? []))
    .flatMap((text) => text.split(","))
    .map((text) => text.trim())
    .filter((text) => text !== "");
  const hosts: { host: string; port: number }[] = [];
  const issues: ParseIssue[] = [];
  for (const text of texts) {
    const parsed = parseHost(text, port);
    if (parsed === undefined) {
      const message = `"${text}" is not a host: give a name or an address, optionally with ":port"`;
      issues.push({ severity: "error", path, message });
      continue;
    }
    if (parsed.note !== undefined) {
      issues.push({ severity: "warning", path, message: parsed.note });
    }
    if (!hosts.some((known) => known.host === parsed.host && known.port === parsed.port)) {
      hosts.push({ host: parsed.host, port: parsed.port });
    }
  }
  if (hosts.length === 0 && issues.length === 0) {
    const message = '"host" is missing: the name of the ThingsBoard server';
    issues.push({ severity: "error", path, message });
  }
  return { value: hosts, issues };
}

interface ParsedHost {
  readonly host: string;
  readonly port: number;
  readonly note: string | undefined;
}

function parseHost(text: string, fallback: number): ParsedHost | undefined {
  const [, scheme, rest = ""] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/]*)\/?$/i.exec(text) ?? [];
  const note =
    scheme === undefined ? undefined : `"${scheme}://" is left out: only the host name counts here`;
  // An IPv6 address has several colons: its port needs brackets around the address (RFC 3986 §3.2.2).
  const isBareIpv6 = !rest.startsWith("[") && rest.split(":").length > 2;
  const [, bracketed, plain, ownPort] =
    /^(?:\[([0-9a-f:.%]+)\]|([^\s:[\]]+))(?::(\d{1,5}))?$/i.exec(isBareIpv6 ? `[${rest}]` : rest) ??
    [];
  const host = bracketed ?? plain;
  const port = ownPort === undefined ? fallback : Number(ownPort);
  if (host === undefined || port < 1 || port > 65_535) {
    return undefined;
  }
  return { host, port, note };
}

const CLOUD_MESSAGES = "10:1,60:60,";
const CLOUD_DATA_POINTS = "10:1,300:60,";

/** The configured limits, with the names `DEFAULT_…` replaced by what they mean for these hosts. */
export function toLimits(
  config: Thingsboard,
  hosts: readonly { readonly host: string }[],
): LimitPair {
  const isCloud = hosts.some(({ host }) => isCloudHost(host));
  return limitPair(config, (text) => {
    if (!isNamedDefault(text)) {
      return text;
    }
    const limit = text.includes("_DP_") ? CLOUD_DATA_POINTS : CLOUD_MESSAGES;
    return isCloud ? limit : "";
  });
}

/**
 * How fast to send: the limits that hold until the server tells its own, and those that a person has written, which stay
 * upper bounds. `percentage` is the share of each limit that is used.
 */
export function toRates(
  config: Thingsboard,
  hosts: readonly { readonly host: string }[],
  percentage: number,
): RateSettings {
  return {
    percentage,
    initial: toLimits(config, hosts),
    bounds: limitPair(config, (text) => (isNamedDefault(text) ? "" : text)),
  };
}

function limitPair(config: Thingsboard, resolve: (text: string) => string): LimitPair {
  const texts = (messages: string, telemetry: string, dataPoints: string): LimitTexts => ({
    messages: resolve(messages),
    telemetryMessages: resolve(telemetry),
    telemetryDataPoints: resolve(dataPoints),
  });
  return {
    own: texts(config.messagesRateLimits, config.rateLimits, config.dpRateLimits),
    devices: texts(
      config.deviceMessagesRateLimits,
      config.deviceRateLimits,
      config.deviceDpRateLimits,
    ),
  };
}

function isNamedDefault(text: string): boolean {
  return text.trim().startsWith("DEFAULT_");
}

/** The servers that the Python gateway knows to have limits. */
function isCloudHost(host: string): boolean {
  return (
    host.includes("thingsboard.cloud") ||
    host.includes("demo.thingsboard.io") ||
    (host.includes("tb") && host.includes("cloud"))
  );
}
