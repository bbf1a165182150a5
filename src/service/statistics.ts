import type { Clock } from "#sdk/clock";
import type { AcceptResult } from "#sdk/connector";
import { errorText, TransientError } from "#sdk/errors";
import { type Logger, rateLimited } from "#sdk/logger";
import type { DeviceData, Json, Values } from "#sdk/model";
import { Schedule } from "#sdk/schedule";
import type { LoadedConfiguration } from "../config/load.ts";
import type { StatisticsCommand } from "../config/statistics.ts";
import { Machine } from "./machine.ts";
import { StatisticsCommands } from "./statistics-commands.ts";
import { statisticsReport, type Totals, totalsAtStart } from "./statistics-report.ts";
import type { GatewayStatus } from "./status.ts";

/** The shortest period of the report, as in the Python gateway. */
const MIN_PERIOD_MS = 10_000;
/** The shortest period of the custom commands. */
const MIN_CUSTOM_PERIOD_MS = 1000;
/** Outputs of commands that end within this time go up together. */
const GATHER_MS = 5000;
/** How long the store may take for a report. */
const STORE_MS = 30_000;
/** How long the last report may hold up a stop. */
const LAST_REPORT_MS = 1000;

/** What is reported and how often; plain data. */
export interface StatisticsSettings {
  readonly enable: boolean;
  readonly periodMs: number;
  readonly enableCustom: boolean;
  readonly customPeriodMs: number;
  readonly commands: readonly StatisticsCommand[];
  /** `tbgw.allowStatisticsCommands`. */
  readonly allowCommands: boolean;
}

/** The settings that a configuration comes to. */
export function statisticsSettings({
  gateway,
  statisticsCommands,
}: Pick<LoadedConfiguration, "gateway" | "statisticsCommands">): StatisticsSettings {
  const { statistics } = gateway.thingsboard;
  return {
    enable: statistics.enable,
    periodMs: Math.max(MIN_PERIOD_MS, statistics.statsSendPeriodInSeconds * 1000),
    enableCustom: statistics.enableCustom ?? statistics.enable,
    customPeriodMs: Math.max(
      MIN_CUSTOM_PERIOD_MS,
      statistics.customStatsSendPeriodInSeconds * 1000,
    ),
    commands: statisticsCommands,
    allowCommands: gateway.tbgw.allowStatisticsCommands,
  };
}

/** What the statistics need of their surroundings. */
export interface StatisticsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Puts data of the gateway's own device into the event store; resolves when it is durable. */
  readonly store: (
    data: Pick<DeviceData, "attributes" | "telemetry">,
    signal: AbortSignal,
  ) => Promise<AcceptResult>;
  readonly status: () => Promise<GatewayStatus>;
}

/** One life of the loops between two restarts. */
interface Run {
  readonly settings: StatisticsSettings;
  readonly stop: AbortController;
  readonly done: Promise<unknown>;
}

/**
 * Reports on the gateway, its machine and its connectors, as the Python gateway does, but through the event store: a report outlives
 * an outage, and what one that could not be stored has counted is in the next.
 */
export class Statistics implements AsyncDisposable {
  readonly #deps: StatisticsDeps;
  readonly #log: Logger;
  readonly #machine: Machine;
  /** Where counting began, and up to where the last stored report has counted. */
  #first: Promise<Totals> | undefined;
  #totals: Totals | undefined;
  #attributesSent = false;
  #leftOut = "";
  #run: Run | undefined;

  constructor(deps: StatisticsDeps) {
    this.#deps = deps;
    this.#log = rateLimited(deps.log, deps.clock);
    this.#machine = new Machine(() => deps.clock.monotonicMs());
  }

  /** Begins to report, at once and then periodically. To be called before data can come in: counts begin here. */
  start(settings: StatisticsSettings): void {
    // The check of the configuration has warned of these already.
    this.#leftOut = leftOut(settings);
    this.#begin(settings);
  }

  /** Goes on with other settings; counts go on too. Running commands are ended. */
  async restart(settings: StatisticsSettings): Promise<void> {
    await this.#end();
    const names = leftOut(settings);
    if (names !== "" && names !== this.#leftOut) {
      this.#deps.log.warn("The commands of custom statistics are left out", {
        attributes: names,
        advice: "set tbgw.allowStatisticsCommands in tb_gateway.json of this machine",
      });
    }
    this.#leftOut = names;
    this.#begin(settings);
  }

  /** Ends with a last report, so that a restart loses no counts. */
  async [Symbol.asyncDispose](): Promise<void> {
    const run = this.#run;
    await this.#end();
    if (run?.settings.enable === true) {
      const { clock } = this.#deps;
      await this.#report(clock.deadline(LAST_REPORT_MS, new AbortController().signal));
    }
  }

  #begin(settings: StatisticsSettings): void {
    const stop = new AbortController();
    const { signal } = stop;
    const commands = settings.allowCommands ? settings.commands : [];
    const loops: Promise<void>[] = [];
    if (settings.enable) {
      this.#first ??= this.#firstTotals();
      loops.push(this.#guard(this.#reports(settings, signal), signal));
    }
    if (settings.enableCustom && commands.length > 0) {
      loops.push(this.#guard(this.#custom(settings, commands, signal), signal));
    }
    this.#run = { settings, stop, done: Promise.all(loops) };
  }

  /** A loop ends with its signal alone. */
  async #guard(loop: Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await loop;
    } catch (error) {
      if (!signal.aborted) {
        this.#log.error("The statistics have ended: please report it", { error });
      }
    }
  }

  async #end(): Promise<void> {
    this.#run?.stop.abort(new TransientError("The statistics are stopped"));
    await this.#run?.done;
    this.#run = undefined;
  }

  async #firstTotals(): Promise<Totals> {
    return totalsAtStart(await this.#deps.status());
  }

  async #reports({ periodMs }: StatisticsSettings, signal: AbortSignal): Promise<void> {
    const schedule = this.#schedule(periodMs);
    for (;;) {
      await schedule.next(signal);
      await this.#report(signal);
    }
  }

  /** One report. What it has counted counts again if it cannot be stored. */
  async #report(signal: AbortSignal): Promise<void> {
    const { clock, status } = this.#deps;
    try {
      const before = await this.#before();
      if (!this.#attributesSent) {
        const attributes = this.#machine.attributes();
        this.#attributesSent = await this.#store({ attributes }, signal);
      }
      const machine = this.#machine.stats();
      const { values, totals } = statisticsReport(await status(), machine, before, clock.now());
      if (await this.#store(telemetry(values), signal)) {
        this.#totals = totals;
      }
    } catch (error) {
      this.#log.warn("The statistics of this period are sent with the next", {
        error: errorText(error),
      });
    }
  }

  /** Up to where the last stored report has counted. A first look that failed is taken again. */
  async #before(): Promise<Totals> {
    this.#first ??= this.#firstTotals();
    try {
      this.#totals ??= await this.#first;
    } catch (error) {
      this.#first = undefined;
      throw error;
    }
    return this.#totals;
  }

  async #custom(
    { customPeriodMs }: StatisticsSettings,
    list: readonly StatisticsCommand[],
    signal: AbortSignal,
  ): Promise<void> {
    const commands = new StatisticsCommands(list, this.#deps);
    const schedule = this.#schedule(customPeriodMs);
    await commands.install(signal);
    for (;;) {
      await schedule.next(signal);
      await this.#customRound(commands, signal);
    }
  }

  /** Runs all commands. What is there after a few seconds goes up, the rest when the last one has ended. */
  async #customRound(commands: StatisticsCommands, signal: AbortSignal): Promise<void> {
    let gathered: Record<string, Json> = {};
    const sent: Promise<unknown>[] = [];
    const send = (): void => {
      if (Object.keys(gathered).length > 0) {
        sent.push(this.#store(telemetry(gathered), signal));
        gathered = {};
      }
    };
    using _timer = this.#deps.clock.timer(GATHER_MS, send);
    await commands.run((attribute, value) => {
      gathered[attribute] = value;
    }, signal);
    send();
    await Promise.all(sent);
  }

  /** Whether it is stored. Never throws: the log says why it is not. */
  async #store(
    data: Pick<DeviceData, "attributes" | "telemetry">,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { clock, store } = this.#deps;
    const late = new AbortController();
    using _timer = clock.timer(STORE_MS, () =>
      late.abort(new TransientError(`The event store takes longer than ${STORE_MS / 1000} s`)),
    );
    try {
      const { status } = await store(data, AbortSignal.any([signal, late.signal]));
      return status === "stored";
    } catch (error) {
      if (!signal.aborted) {
        this.#log.warn("Cannot store statistics", { error: errorText(error) });
      }
      return false;
    }
  }

  #schedule(periodMs: number): Schedule {
    const metrics = { count: () => undefined, rejected: () => undefined };
    return new Schedule(periodMs, { clock: this.#deps.clock, metrics });
  }
}

function telemetry(values: Values): Pick<DeviceData, "telemetry"> {
  return { telemetry: [{ values }] };
}

/** The attributes whose commands may not run, for a log line; "" when there is none. */
function leftOut(settings: StatisticsSettings): string {
  const { allowCommands, commands, enableCustom } = settings;
  const names = allowCommands || !enableCustom ? [] : commands;
  return names.map(({ attributeOnGateway }) => attributeOnGateway).join(", ");
}
