import * as v from "valibot";
import { entries, field, optional, required } from "#sdk/config";
import { atLeast } from "./values.ts";

const command = v.looseObject({
  attributeOnGateway: required(v.pipe(v.string(), v.minLength(1)), {
    doc: "Telemetry key on the gateway that takes the output.",
    examples: ["CPU"],
  }),
  command: required(v.union([v.pipe(v.string(), v.minLength(1)), v.array(v.string())]), {
    doc: "A text runs in a shell, a list is a program with its arguments. Needs `tbgw.allowStatisticsCommands`.",
    examples: ["cat /proc/loadavg"],
  }),
  timeout: required(atLeast(0), { doc: "Longest run time of the command.", unit: "s" }),
  installCmd: optional(v.string(), {
    doc: "Runs once when the statistics start. Needs `tbgw.allowStatisticsCommands`.",
  }),
});

/** The file that `thingsboard.statistics.configuration` names: commands whose output goes up. */
export const statisticsCommands = entries(command);

/** One command of the custom statistics. */
export type StatisticsCommand = v.InferOutput<typeof command>;

/** `thingsboard.statistics`. */
export const statistics = v.looseObject({
  enable: field(v.boolean(), true, { doc: "Sends the statistics of the gateway and its machine." }),
  enableCustom: optional(v.boolean(), {
    doc: "Runs the custom commands. Default: the same as `enable`.",
  }),
  statsSendPeriodInSeconds: field(atLeast(0), 60, {
    doc: "Time between two reports; less than 10 counts as 10.",
    unit: "s",
  }),
  customStatsSendPeriodInSeconds: field(atLeast(0), 300, {
    doc: "Time between two runs of the custom commands; 3600 when the whole section is missing.",
    unit: "s",
  }),
  configuration: optional(v.string(), {
    doc: "File in the configuration directory with the custom commands.",
    examples: ["statistics.json"],
  }),
  commands: optional(v.unknown(), {
    doc: "Written by remote configuration; the commands are read from the file.",
    ignored: true,
  }),
});

/** The section when the file has none. */
export const STATISTICS_DEFAULT = {
  enable: true,
  statsSendPeriodInSeconds: 60,
  customStatsSendPeriodInSeconds: 3600,
} as const;
