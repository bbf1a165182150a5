import { defineCommand } from "citty";
import { type LoadedConfiguration, loadConfiguration } from "../config/load.ts";
import type { Overlay } from "../config/text-file.ts";
import { StrayErrorLog } from "../connector/attribution.ts";
import { connectorTypes } from "../connector/registry.ts";
import { type ExtensionFlags, openExtensions } from "../extension/open.ts";
import type { BoundedFile } from "../logging/bounded-file.ts";
import { HeldLines } from "../logging/held-lines.ts";
import { LogSettings } from "../logging/settings.ts";
import { startAgain } from "../platform/exec.ts";
import { collectAfterStart } from "../platform/memory.ts";
import { systemClock } from "../sdk/clock.ts";
import { errorText } from "../sdk/errors.ts";
import { createLogger, type Logger, type LogLevel } from "../sdk/logger.ts";
import { Gateway } from "../service/gateway.ts";
import type { GatewaySetup } from "../service/gateway-setup.ts";
import { gatewaySetup } from "../service/setup.ts";
import { aborted, StopSignal } from "../service/signals.ts";
import { openSupervisor } from "../service/supervisor-link.ts";
import { VERSION } from "../version.ts";
import { extensionArgs, extensionFlags, UsageError } from "./flags.ts";
import { print } from "./print.ts";

const LEVELS: readonly LogLevel[] = ["trace", "debug", "info", "warn", "error", "none"];

/** `tbgw run` */
export const runCommand = defineCommand({
  meta: { name: "run", description: "Run the gateway until SIGTERM or SIGINT" },
  args: {
    config: { type: "string", description: "Directory with tb_gateway.json", valueHint: "DIR" },
    data: {
      type: "string",
      description: "Directory for the event store and state",
      valueHint: "DIR",
    },
    "log-level": { type: "string", description: `One of ${LEVELS.join(", ")}`, valueHint: "LEVEL" },
    "log-file": {
      type: "string",
      description: "In the place of standard output; kept below 10 MiB with the file before",
      valueHint: "FILE",
    },
    ...extensionArgs,
  },
  run: async ({ args, rawArgs }) => {
    const logLevel = args["log-level"] === undefined ? undefined : levelOf(args["log-level"]);
    const logFile = args["log-file"];
    const flags = extensionFlags(rawArgs, args);
    const place = { configDir: args.config, dataDir: args.data };
    return await runGateway({ ...place, logLevel, logFile, flags });
  },
});

interface RunOptions {
  readonly configDir: string | undefined;
  readonly dataDir: string | undefined;
  /** Goes before the levels in the files. */
  readonly logLevel: LogLevel | undefined;
  /** Takes what goes to standard output otherwise. */
  readonly logFile: string | undefined;
  readonly flags: ExtensionFlags;
}

function levelOf(text: string): LogLevel {
  const level = LEVELS.find((name) => name === text.toLowerCase());
  if (level === undefined) {
    throw new UsageError(`--log-level must be one of ${LEVELS.join(", ")}, but is "${text}"`);
  }
  return level;
}

/** Runs until a signal, exit code 0, or until the gateway cannot go on, exit code 1. Exit code 3: no usable configuration. */
async function runGateway(options: RunOptions): Promise<number> {
  const clock = systemClock;
  using stop = new StopSignal("reload");
  await using supervisor = await openSupervisor(process.env, clock);
  const failed = new AbortController();
  const restart = new AbortController();
  const { configDir, dataDir } = options;
  const place = { configDir, dataDir, env: process.env, cwd: process.cwd() };
  const held = new HeldLines();
  const early = createLogger({ source: "extension", level: "trace", clock, sink: held.sink });
  const extensions = openExtensions(options.flags, place, early);
  // From here on files of extensions are imported, and may do anything.
  const serviceLog = createLogger({ source: "service", level: "trace", clock, sink: held.sink });
  handleStrayErrors(serviceLog, extensions.roots, (error) => failed.abort(error));
  const load = (overlay?: Overlay): Promise<LoadedConfiguration> =>
    loadConfiguration({ ...place, connectorTypes, extensions, overlay });
  const extensionsBefore = extensions.fingerprint();
  const configuration = await load();
  await using output =
    options.logFile === undefined ? undefined : await openOutput(options.logFile);
  await using logs = openLogs(configuration, options.logLevel, output);
  held.release(logs.sink);
  const log = logs.logger("service");
  sayFindings(configuration, log);
  if (configuration.fatal) {
    return 3;
  }
  log.info("Gateway starts", { version: VERSION, configDir: configuration.configDir });
  const setup = (loaded: LoadedConfiguration): GatewaySetup =>
    gatewaySetup(loaded, options.logLevel ?? "info");
  const files = { loaded: configuration, load, setup, extensions, extensionsBefore };
  const gateway = await Gateway.start(
    { ...setup(configuration), files },
    {
      clock,
      sink: logs.sink,
      logs,
      extensions,
      onFailure: (error) => failed.abort(error),
      onRestart: () => restart.abort("restart"),
    },
  );
  using _collecting = collectAfterStart(clock);
  supervisor.ready(() => gateway.status(), log);
  await aborted(AbortSignal.any([stop.signal, failed.signal, restart.signal]));
  if (failed.signal.aborted) {
    log.error("The gateway cannot go on", { error: errorText(failed.signal.reason) });
  } else {
    log.info("Gateway stops", { signal: String(stop.signal.reason ?? restart.signal.reason) });
  }
  supervisor.stopping(restart.signal.aborted);
  await gateway.stop();
  if (restart.signal.aborted && !stop.signal.aborted && !failed.signal.aborted) {
    log.info("Gateway starts again");
    await logs.flush();
    await output?.flush();
    return await restartProcess(log);
  }
  return failed.signal.aborted ? 1 : 0;
}

/**
 * An error that nobody has handled costs the connector it belongs to. Of the others a rejected promise is logged, and an exception ends the
 * gateway unless it is an extension's: what it has left undone, nobody knows.
 */
function handleStrayErrors(
  log: Logger,
  roots: readonly string[],
  onFailure: (error: unknown) => void,
): void {
  const errors = new StrayErrorLog(log, systemClock, roots);
  process.on("unhandledRejection", (error) => {
    if (!errors.take(error)) {
      log.error("An error was not handled: please report it", { error: errorText(error) });
    }
  });
  process.on("uncaughtException", (error) => {
    if (!errors.take(error)) {
      onFailure(error);
    }
  });
}

function sayFindings({ issues, fatal, provisioning }: LoadedConfiguration, log: Logger): void {
  for (const { severity, file, line, path, message } of issues) {
    log[severity === "error" ? "error" : "warn"]("Configuration", { file, line, path, message });
  }
  if (!fatal && provisioning !== undefined) {
    log.info(
      "There are no credentials yet: the platform is asked for them, data is kept meanwhile",
    );
  }
}

/** Log files and standard output as the configuration wants them; `level` goes before its levels. */
function openLogs(
  configuration: LoadedConfiguration,
  level: LogLevel | undefined,
  output: BoundedFile | undefined,
): LogSettings {
  const { dataDir, gateway, logs, logsDir, secrets } = configuration;
  return new LogSettings({
    clock: systemClock,
    stdout: output ?? process.stdout,
    stderr: output ?? process.stderr,
    level,
    ...logs,
    dataDir,
    logsDir,
    maxTotalBytes: gateway.tbgw.logs.maxTotalBytes,
    secrets,
  });
}

/** Loaded only for a service that has nobody who keeps its output. */
async function openOutput(path: string): Promise<BoundedFile> {
  const { BoundedFile, forgetOldOutput } = await import("../logging/bounded-file.ts");
  forgetOldOutput();
  return new BoundedFile(path);
}

/** Does not return, unless the program cannot be started again: exit code 1, for the supervisor to do it. */
async function restartProcess(log: Logger): Promise<number> {
  await print(""); // What was written must not be cut short.
  try {
    return startAgain();
  } catch (error) {
    log.error("The gateway cannot start itself again", { error });
    return 1;
  }
}
