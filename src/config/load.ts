import { resolve } from "node:path";
import * as v from "valibot";
import { type ParseIssue, parseConfig } from "#sdk/config";
import { ConfigError } from "#sdk/errors";
import { isJsonObject, type Json, type ReportStrategy } from "#sdk/model";
import type { StorageSettings } from "../storage/event-store.ts";
import type { LimitPair, RateSettings, SessionSettings } from "../thingsboard/settings.ts";
import { adviseOnGateway } from "./advice.ts";
import {
  type ConnectorExtensions,
  type ConnectorTypes,
  type LoadedConnector,
  loadConnectors,
  NO_EXTENSIONS,
} from "./connectors.ts";
import type { DeviceFilterRules } from "./device-filter.ts";
import {
  type ConfigPlace,
  type DirectoryChoice,
  type Environment,
  findConfig,
  findDataDir,
} from "./directories.ts";
import type { Document } from "./document.ts";
import { applyEnvironment, type Overrides, sourceOf } from "./environment.ts";
import { deepFreeze } from "./freeze.ts";
import { type GatewayConfig, gatewayConfig } from "./gateway.ts";
import { chooseIdentity, type Identity, type ProvisioningPlan } from "./identity.ts";
import { compareIssues, ENVIRONMENT, type FileIssue, located } from "./issue.ts";
import { resolveReferences } from "./references.ts";
import { toGatewayStrategy } from "./report-strategy.ts";
import { type Connection, toLimits, toRates } from "./session.ts";
import { type LogsFile, loadSideFiles } from "./side-files.ts";
import type { StatisticsCommand } from "./statistics.ts";
import { type LeftBehind, toStoragePlan } from "./storage.ts";
import { fileIssue, type Overlay, readDocument } from "./text-file.ts";

/** What a configuration is loaded from. */
export interface LoadOptions {
  /** `--config`; without it the variable `TB_GW_CONFIG_DIR` and the usual directories. */
  readonly configDir?: string | undefined;
  /** `--data`; without it the variables and the usual directories. */
  readonly dataDir?: string | undefined;
  readonly env: Environment;
  readonly cwd: string;
  readonly connectorTypes: ConnectorTypes;
  /** Texts in the place of files, by absolute path, to see what a change would come to. */
  readonly overlay?: Overlay | undefined;
  /** Connectors of extensions. Default: there are none. */
  readonly extensions?: ConnectorExtensions | undefined;
}

/** Everything the configuration files say, checked, with defaults, frozen. */
export interface LoadedConfiguration {
  readonly configDir: string;
  /** Not created here. */
  readonly dataDir: string;
  /** Absolute path of `tb_gateway.json` or `.yaml`. */
  readonly mainFile: string;
  /** How to reach the platform; `undefined` when provisioning comes first, and when `fatal`. */
  readonly session: SessionSettings | undefined;
  /** What to ask the platform for before there can be a session. */
  readonly provisioning: ProvisioningPlan | undefined;
  readonly storage: StorageSettings;
  /** Where a Python gateway may have left records. */
  readonly leftBehind: LeftBehind | undefined;
  /** The main file with environment variables and references in their places. Holds secrets: show it through `redact`. */
  readonly gateway: GatewayConfig;
  /** The main file as it is on disk, for remote configuration; `undefined` when it could not be parsed. */
  readonly raw: Json | undefined;
  readonly reportStrategy: Required<ReportStrategy>;
  readonly limits: LimitPair;
  /** Share of every limit that is used, in percent. */
  readonly limitPercentage: number;
  /** `undefined`: no filter. */
  readonly deviceFilter: DeviceFilterRules | undefined;
  readonly statisticsCommands: readonly StatisticsCommand[];
  /** What `logs.json` says. */
  readonly logs: LogsFile;
  /** Directory for all log files, from `TB_GW_LOGS_PATH`. */
  readonly logsDir: string | undefined;
  readonly connectors: readonly LoadedConnector[];
  /** The values of all secret fields, for the redaction of what is logged and shown. */
  readonly secrets: readonly string[];
  /** Everything found in all files, in the order of files, lines and paths. */
  readonly issues: readonly FileIssue[];
  /** The gateway cannot start: no main file that can be parsed, no host, or no credentials. */
  readonly fatal: boolean;
}

/**
 * Loads all configuration files of a directory. Never throws for what a file holds and never writes: each mistake is an
 * issue with its file, line and path, and costs as little as possible.
 */
export async function loadConfiguration(options: LoadOptions): Promise<LoadedConfiguration> {
  const choice: DirectoryChoice = options;
  const dataDir = findDataDir(choice);
  const place = findPlace(choice);
  if (place instanceof ConfigError) {
    const issues = place.issues.map(({ message }) => fileIssue(place.file, message));
    const configDir = resolve(options.cwd, options.configDir ?? ".");
    return assemble({ configDir, mainFile: place.file, dataDir }, emptyMain(options.env, issues));
  }
  const main = readMain(place, dataDir, options);
  const directories = { ...place, dataDir };
  if (main.document === undefined || main.raw === undefined) {
    return assemble(directories, main);
  }
  const loaded = await loadConnectors(main.list, {
    env: options.env,
    configDir: place.configDir,
    connectorTypes: options.connectorTypes,
    extensions: options.extensions ?? NO_EXTENSIONS,
    mainFile: place.mainFile,
    document: main.document,
    overlay: options.overlay,
  });
  return assemble(directories, main, loaded, options.overlay);
}

function findPlace(choice: DirectoryChoice): ConfigPlace | ConfigError {
  try {
    return findConfig(choice);
  } catch (error) {
    if (error instanceof ConfigError) {
      return error;
    }
    throw error;
  }
}

interface Directories extends ConfigPlace {
  readonly dataDir: string;
}

/** The main file and what it comes to. */
interface Main {
  readonly document: Document | undefined;
  readonly raw: Json | undefined;
  readonly gateway: GatewayConfig;
  /** `connectors` as it is in the file, so that places in the list stay the file's. */
  readonly list: unknown;
  readonly overrides: Overrides;
  readonly identity: Identity;
  readonly issues: readonly FileIssue[];
  readonly secrets: readonly string[];
}

const NO_IDENTITY: Identity = {
  session: undefined,
  provisioning: undefined,
  issues: [],
  secrets: [],
};

function emptyMain(env: Environment, issues: readonly FileIssue[]): Main {
  return {
    document: undefined,
    raw: undefined,
    gateway: v.parse(gatewayConfig, {}),
    list: [],
    overrides: applyEnvironment({}, env),
    identity: NO_IDENTITY,
    issues,
    secrets: [],
  };
}

function readMain(place: ConfigPlace, dataDir: string, options: LoadOptions): Main {
  const { mainFile, configDir } = place;
  const { env, cwd } = options;
  const read = readDocument(mainFile, options.overlay);
  const { document } = read;
  if (document === undefined || document.value === undefined) {
    return emptyMain(env, read.issues);
  }
  const raw = document.value;
  if (!isJsonObject(raw)) {
    const issue = fileIssue(mainFile, "the file must hold one object");
    return emptyMain(env, [...read.issues, issue]);
  }
  const resolved = resolveReferences(gatewayConfig, raw, { env, configDir });
  const overrides = applyEnvironment(resolved.value, env);
  const parsed = parseConfig(gatewayConfig, overrides.value);
  const gateway = parsed.value ?? v.parse(gatewayConfig, {});
  const identity = chooseIdentity({
    thingsboard: gateway.thingsboard,
    provisioningFirst: overrides.provisioning,
    configDir,
    dataDir,
    cwd,
  });
  const found = [
    ...resolved.issues.filter(({ path }) => sourceOf(overrides, path) === undefined),
    ...parsed.issues,
    ...identity.issues,
    ...adviseOnGateway(gateway),
  ];
  const issues = found.map((issue) => placeIssue(issue, { mainFile, document, overrides }));
  return {
    document,
    raw,
    gateway,
    list: raw["connectors"],
    overrides,
    identity,
    issues: [...read.issues, ...overrides.issues, ...issues],
    secrets: [...resolved.secrets, ...overrides.secrets, ...identity.secrets],
  };
}

/** An issue with its line, or with the variable its value came from. */
function placeIssue(
  issue: ParseIssue,
  main: {
    readonly mainFile: string;
    readonly document: Document;
    readonly overrides: Overrides;
  },
): FileIssue {
  const variable = sourceOf(main.overrides, issue.path);
  if (variable === undefined) {
    return located(main.mainFile, main.document, issue);
  }
  const { severity, message } = issue;
  return { severity, file: ENVIRONMENT, line: undefined, path: variable, message };
}

function assemble(
  directories: Directories,
  main: Main,
  loaded: Awaited<ReturnType<typeof loadConnectors>> = { connectors: [], secrets: [] },
  overlay?: Overlay,
): LoadedConfiguration {
  const { gateway, identity, overrides } = main;
  const { session, provisioning } = identity;
  const plan = toStoragePlan(gateway.storage);
  const side = loadSideFiles(gateway, directories.configDir, overlay);
  const issues = [
    ...main.issues,
    ...side.issues,
    ...loaded.connectors.flatMap((connector) => connector.issues),
  ];
  const hosts = session?.hosts ?? provisioning?.connection.hosts ?? [];
  const rates = toRates(gateway.thingsboard, hosts, overrides.limitPercentage);
  return {
    ...directories,
    session: session === undefined ? undefined : { ...session, rates },
    provisioning: provisioning === undefined ? undefined : withRates(provisioning, rates),
    storage: plan.settings,
    leftBehind: plan.leftBehind,
    gateway: deepFreeze(gateway),
    raw: deepFreeze(main.raw),
    reportStrategy: toGatewayStrategy(gateway.thingsboard.reportStrategy),
    limits: toLimits(gateway.thingsboard, hosts),
    limitPercentage: overrides.limitPercentage,
    deviceFilter: side.deviceFilter,
    statisticsCommands: side.statisticsCommands,
    logs: side.logs,
    logsDir: overrides.logsDir,
    connectors: loaded.connectors,
    secrets: [...new Set([...main.secrets, ...loaded.secrets])].filter((text) => text !== ""),
    issues: issues.sort(compareIssues),
    fatal: session === undefined && provisioning === undefined,
  };
}

/** The session that follows a provisioning keeps to the limits like any other. */
function withRates(plan: ProvisioningPlan, rates: RateSettings): ProvisioningPlan {
  const connection: Connection = { ...plan.connection, rates };
  return { ...plan, connection };
}
