import { defineCommand } from "citty";
import { loadConfiguration } from "../config/load.ts";
import { connectorTypes } from "../connector/registry.ts";
import { redactingSink } from "../logging/redact.ts";
import { streamSink } from "../logging/stdout.ts";
import { startAgain } from "../platform/exec.ts";
import { systemClock } from "../sdk/clock.ts";
import { errorText } from "../sdk/errors.ts";
import { createLogger, type Logger, type LogLevel } from "../sdk/logger.ts";
import { Gateway } from "../service/gateway.ts";
import { gatewaySetup } from "../service/setup.ts";
import { aborted, StopSignal } from "../service/signals.ts";
import { VERSION } from "../version.ts";
import { UsageError } from "./flags.ts";
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
  },
  run: async ({ args }) => {
    const logLevel = levelOf(args["log-level"] ?? "info");
    return await runGateway({ configDir: args.config, dataDir: args.data, logLevel });
  },
});

interface RunOptions {
  readonly configDir: string | undefined;
  readonly dataDir: string | undefined;
  readonly logLevel: LogLevel;
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
  using stop = new StopSignal();
  const failed = new AbortController();
  const restart = new AbortController();
  const configuration = await loadConfiguration({
    configDir: options.configDir,
    dataDir: options.dataDir,
    env: process.env,
    cwd: process.cwd(),
    connectorTypes,
  });
  const sink = redactingSink(streamSink(process.stdout), configuration.secrets);
  const log = createLogger({ source: "service", level: options.logLevel, clock, sink });
  process.on("unhandledRejection", (error) => {
    log.error("An error was not handled: please report it", { error: errorText(error) });
  });
  for (const { severity, file, line, path, message } of configuration.issues) {
    log[severity === "error" ? "error" : "warn"]("Configuration", { file, line, path, message });
  }
  if (configuration.fatal) {
    return 3;
  }
  if (configuration.provisioning !== undefined) {
    log.info(
      "There are no credentials yet: the platform is asked for them, data is kept meanwhile",
    );
  }
  log.info("Gateway starts", { version: VERSION, configDir: configuration.configDir });
  const gateway = await Gateway.start(gatewaySetup(configuration, options.logLevel), {
    clock,
    sink,
    onFailure: (error) => failed.abort(error),
    onRestart: () => restart.abort("restart"),
  });
  await aborted(AbortSignal.any([stop.signal, failed.signal, restart.signal]));
  if (failed.signal.aborted) {
    log.error("The gateway cannot go on", { error: errorText(failed.signal.reason) });
  } else {
    log.info("Gateway stops", { signal: String(stop.signal.reason ?? restart.signal.reason) });
  }
  await gateway.stop();
  if (restart.signal.aborted && !stop.signal.aborted && !failed.signal.aborted) {
    return await restartProcess(log);
  }
  return failed.signal.aborted ? 1 : 0;
}

/** Does not return, unless the program cannot be started again: exit code 1, for the supervisor to do it. */
async function restartProcess(log: Logger): Promise<number> {
  log.info("Gateway starts again");
  await print(""); // What was written must not be cut short.
  try {
    return startAgain();
  } catch (error) {
    log.error("The gateway cannot start itself again", { error });
    return 1;
  }
}
