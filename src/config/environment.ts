import { type Environment, nonEmpty } from "./directories.ts";
import { ENVIRONMENT, type FileIssue, type Path } from "./issue.ts";

/** A value of the main file that an environment variable replaces. */
interface Binding {
  readonly variable: string;
  /** Under `thingsboard`. */
  readonly path: readonly [string, ...string[]];
  readonly number?: true;
  readonly secret?: true;
  /** The name without prefix that the Python gateway takes as well. */
  readonly bare?: string;
  /** What the bare variable must look like to be meant for us: some of these names are common. */
  readonly bareForm?: RegExp;
}

const BINDINGS: readonly Binding[] = [
  { variable: "TB_GW_HOST", path: ["host"], bare: "host" },
  { variable: "TB_GW_PORT", path: ["port"], number: true, bare: "port", bareForm: /^\d+$/ },
  { variable: "TB_GW_PROXY_HOST", path: ["proxy_host"], bare: "proxy_host" },
  {
    variable: "TB_GW_PROXY_PORT",
    path: ["proxy_port"],
    number: true,
    bare: "proxy_port",
    bareForm: /^\d+$/,
  },
  {
    variable: "TB_GW_SECURITY_TYPE",
    path: ["security", "type"],
    bare: "type",
    bareForm: /^(?:accessToken|usernamePassword|tlsAccessToken|tlsPrivateKey|x509Certificate)$/,
  },
  {
    variable: "TB_GW_ACCESS_TOKEN",
    path: ["security", "accessToken"],
    secret: true,
    bare: "accessToken",
  },
  { variable: "TB_GW_USERNAME", path: ["security", "username"], bare: "username" },
  { variable: "TB_GW_PASSWORD", path: ["security", "password"], secret: true, bare: "password" },
  { variable: "TB_GW_CLIENT_ID", path: ["security", "clientId"], bare: "clientId" },
  { variable: "TB_GW_CA_CERT", path: ["security", "caCert"], bare: "caCert" },
  { variable: "TB_GW_PRIVATE_KEY", path: ["security", "privateKey"], bare: "privateKey" },
  { variable: "TB_GW_CERT", path: ["security", "cert"], bare: "cert" },
  ...limits("TB_GW_RATE_LIMITS", [
    "rateLimits",
    "messagesRateLimits",
    "deviceMessagesRateLimits",
    "deviceRateLimits",
  ]),
  ...limits("TB_GW_DP_RATE_LIMITS", ["dpRateLimits", "deviceDpRateLimits"]),
  // After the two for several limits: the one for a single limit wins.
  ...limits("TB_GW_MESSAGES_RATE_LIMITS", ["messagesRateLimits"]),
  ...limits("TB_GW_DEVICE_MESSAGES_RATE_LIMIT", ["deviceMessagesRateLimits"]),
  ...limits("TB_GW_DEVICE_RATE_LIMITS", ["deviceRateLimits"]),
  ...limits("TB_GW_DEVICE_DP_RATE_LIMITS", ["deviceDpRateLimits"]),
];

function limits(variable: string, keys: readonly string[]): readonly Binding[] {
  return keys.map((key) => ({ variable, path: [key] as const }));
}

const PROVISIONING = "TB_GW_PROVISIONING_DEVICE_";

/** What environment variables change in the main file. */
export interface Overrides {
  /** The main file's value with the variables in it; a copy, so that what they say never reaches the file. */
  readonly value: unknown;
  /** The variable that a value came from, by its keys joined with ".". */
  readonly sources: ReadonlyMap<string, string>;
  /** The secrets among the values, for redaction. */
  readonly secrets: readonly string[];
  /** Provisioning is asked for by variables; goes before the `security` section of the file. */
  readonly provisioning: boolean;
  /** Share of a limit that is used, in percent. */
  readonly limitPercentage: number;
  /** Directory for every log file; `undefined` leaves them where they are. */
  readonly logsDir: string | undefined;
  readonly issues: readonly FileIssue[];
}

type Section = Record<string, unknown>;

/**
 * Lays the environment variables of the Python gateway over the main file's value. `security` is merged key by key; only a
 * type other than the file's drops the file's credentials, and never its TLS settings.
 */
export function applyEnvironment(value: unknown, env: Environment): Overrides {
  const issues: FileIssue[] = [];
  const sources = new Map<string, string>();
  const secrets: string[] = [];
  const root: Section = isSection(value) ? { ...value } : {};
  const thingsboard: Section = isSection(root["thingsboard"]) ? { ...root["thingsboard"] } : {};
  for (const binding of BINDINGS) {
    const found = read(binding, env, issues);
    if (found !== undefined) {
      if (binding.variable === "TB_GW_SECURITY_TYPE") {
        dropOtherCredentials(thingsboard, found.value);
      }
      put(thingsboard, binding.path, found.value);
      sources.set(["thingsboard", ...binding.path].join("."), found.variable);
      if (binding.secret === true) {
        secrets.push(String(found.value));
      }
    }
  }
  const provisioning = provisioningSection(env, secrets);
  if (provisioning !== undefined) {
    thingsboard["provisioning"] = provisioning;
    sources.set("thingsboard.provisioning", `${PROVISIONING}KEY`);
  }
  const changed = sources.size > 0;
  return {
    value: changed ? { ...root, thingsboard } : value,
    sources,
    secrets,
    provisioning: provisioning !== undefined,
    limitPercentage: percentage(env, issues),
    logsDir: nonEmpty(env["TB_GW_LOGS_PATH"]),
    issues,
  };
}

/** The variable that an issue at `path` is about, if its value came from one. */
export function sourceOf(overrides: Overrides, path: Path): string | undefined {
  for (let length = path.length; length > 1; length -= 1) {
    const source = overrides.sources.get(path.slice(0, length).join("."));
    if (source !== undefined) {
      return source;
    }
  }
  return undefined;
}

function read(
  binding: Binding,
  env: Environment,
  issues: FileIssue[],
): { readonly variable: string; readonly value: string | number } | undefined {
  let variable = binding.variable;
  let text = nonEmpty(env[variable]);
  if (text === undefined && binding.bare !== undefined) {
    variable = binding.bare;
    text = nonEmpty(env[variable]);
    if (text !== undefined && binding.bareForm?.test(text) === false) {
      return undefined;
    }
    if (text !== undefined) {
      const key = ["thingsboard", ...binding.path].join(".");
      const message = `sets "${key}"; if that is not wanted, unset it, else call it ${binding.variable}`;
      issues.push(environmentIssue("warning", variable, message));
    }
  }
  if (text === undefined) {
    return undefined;
  }
  if (binding.number !== true) {
    return { variable, value: text };
  }
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number)) {
    issues.push(environmentIssue("error", variable, `must be a number, but is "${text}"`));
    return undefined;
  }
  return { variable, value: number };
}

/** A security type other than the file's makes the file's credentials meaningless. */
function dropOtherCredentials(thingsboard: Section, type: string | number): void {
  const security = thingsboard["security"];
  if (!isSection(security) || security["type"] === type) {
    return;
  }
  const { accessToken: _a, username: _u, password: _p, clientId: _c, ...kept } = security;
  thingsboard["security"] = kept;
}

function put(section: Section, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path;
  if (key === undefined) {
    return;
  }
  if (rest.length === 0) {
    section[key] = value;
    return;
  }
  const inner: Section = isSection(section[key]) ? { ...section[key] } : {};
  section[key] = inner;
  put(inner, rest, value);
}

function provisioningSection(env: Environment, secrets: string[]): Section | undefined {
  const get = (name: string): string | undefined => nonEmpty(env[`${PROVISIONING}${name}`]);
  const key = get("KEY");
  const secret = get("SECRET");
  if (key === undefined || secret === undefined) {
    return undefined;
  }
  const token = get("ACCESS_TOKEN");
  const basic = {
    client_id: get("CLIENT_ID"),
    username: get("USERNAME"),
    password: get("PASSWORD"),
  };
  const caCert = get("CA_CERT_FILENAME");
  let type = "ACCESS_TOKEN";
  if (token === undefined && Object.values(basic).some((text) => text !== undefined)) {
    type = "MQTT_BASIC";
  } else if (token === undefined && caCert !== undefined) {
    type = "X509_CERTIFICATE";
  }
  secrets.push(...[key, secret, token, basic.password].filter((text) => text !== undefined));
  const all: Section = {
    type,
    provisionDeviceKey: key,
    provisionDeviceSecret: secret,
    deviceName: get("NAME"),
    access_token: token,
    ...basic,
    caCert,
  };
  return Object.fromEntries(Object.entries(all).filter(([, text]) => text !== undefined));
}

function percentage(env: Environment, issues: FileIssue[]): number {
  const variable = "TB_DEFAULT_RATE_LIMIT_PERCENTAGE";
  const text = nonEmpty(env[variable]);
  if (text === undefined) {
    return DEFAULT_PERCENTAGE;
  }
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > 100) {
    issues.push(environmentIssue("error", variable, `must be 1 to 100, but is "${text}"`));
    return DEFAULT_PERCENTAGE;
  }
  return number;
}

const DEFAULT_PERCENTAGE = 80;

function environmentIssue(
  severity: FileIssue["severity"],
  variable: string,
  message: string,
): FileIssue {
  return { severity, file: ENVIRONMENT, line: undefined, path: variable, message };
}

function isSection(value: unknown): value is Section {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
