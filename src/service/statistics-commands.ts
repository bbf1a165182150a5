import { type CommandResult, runCommand } from "#platform/command";
import type { Clock } from "#sdk/clock";
import { coerceTo } from "#sdk/datatypes";
import { DataError, errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { Json } from "#sdk/model";
import type { StatisticsCommand } from "../config/statistics.ts";

/** Commands that run at one time. */
const MAX_RUNNING = 4;
/** Longest output that is taken. */
const MAX_OUTPUT_BYTES = 65_536;
/** An installation that takes longer is given up. */
const INSTALL_MS = 600_000;
/** Part of the error output that is logged. */
const SAMPLE_CHARS = 300;

/** What running commands needs. */
export interface CommandHost {
  readonly clock: Clock;
  readonly log: Logger;
}

/** The commands of the custom statistics. A command that fails costs itself alone; it is logged when how it fails changes. */
export class StatisticsCommands {
  readonly #commands: readonly StatisticsCommand[];
  readonly #host: CommandHost;
  /** How each attribute failed last. */
  readonly #failures = new Map<string, string>();

  constructor(commands: readonly StatisticsCommand[], host: CommandHost) {
    this.#commands = commands;
    this.#host = host;
  }

  /** Runs each `installCmd` once. @throws the reason of `signal` */
  async install(signal: AbortSignal): Promise<void> {
    for (const { attributeOnGateway, installCmd } of this.#commands) {
      if (installCmd !== undefined && installCmd !== "") {
        const task = { attribute: attributeOnGateway, command: installCmd, timeoutMs: INSTALL_MS };
        await this.#run(task, signal);
      }
    }
  }

  /**
   * Runs all commands, a few at a time, and gives each output to `onOutput` as soon as it is there: a slow command holds up no other.
   * @throws the reason of `signal`
   */
  async run(
    onOutput: (attribute: string, value: Json) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const waiting = [...this.#commands];
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { attributeOnGateway: attribute, command, timeout } = next;
        const result = await this.#run({ attribute, command, timeoutMs: timeout * 1000 }, signal);
        const value = result === undefined ? undefined : outputValue(result.stdout);
        if (value !== undefined) {
          onOutput(attribute, value);
        }
      }
    };
    await Promise.all(Array.from({ length: MAX_RUNNING }, worker));
  }

  /** `undefined`: it failed, and the log says how. @throws the reason of `signal` */
  async #run(
    { attribute, command, timeoutMs }: Task,
    signal: AbortSignal,
  ): Promise<CommandResult | undefined> {
    const argv = typeof command === "string" ? ["/bin/sh", "-c", command] : command;
    const stop = new AbortController();
    using _timer = this.#host.clock.timer(Math.max(1, timeoutMs), () =>
      stop.abort(new DataError(`it takes longer than ${timeoutMs / 1000} s`)),
    );
    try {
      const both = AbortSignal.any([signal, stop.signal]);
      const result = await runCommand(argv, MAX_OUTPUT_BYTES, both);
      const failed = result.exitCode !== 0 && result.stdout.trim() === "";
      const stderr = result.stderr.trim().slice(0, SAMPLE_CHARS);
      this.#note(attribute, failed ? `exit code ${result.exitCode}: ${stderr}` : undefined);
      return result;
    } catch (error) {
      signal.throwIfAborted();
      this.#note(attribute, errorText(error));
      return undefined;
    }
  }

  #note(attribute: string, failure: string | undefined): void {
    const before = this.#failures.get(attribute);
    if (failure === before) {
      return;
    }
    if (failure === undefined) {
      this.#failures.delete(attribute);
      this.#host.log.info("A statistics command works again", { attribute });
    } else {
      this.#failures.set(attribute, failure);
      this.#host.log.warn("A statistics command gives no value", { attribute, error: failure });
    }
  }
}

/** The value of an output: a number if it is one, else its text without the space around it; `undefined` when it is empty. */
export function outputValue(stdout: string): Json | undefined {
  const text = stdout.trim();
  if (text === "") {
    return undefined;
  }
  try {
    return coerceTo(text, "float");
  } catch (error) {
    if (error instanceof DataError) {
      return text;
    }
    throw error;
  }
}

interface Task {
  readonly attribute: string;
  readonly command: string | readonly string[];
  readonly timeoutMs: number;
}
