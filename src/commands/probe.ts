import { type ArgsDef, type CommandDef, defineCommand } from "citty";
import { type ConnectorDefinition, connectorTypes } from "../connector/registry.ts";
import { formatLogLine } from "../logging/stdout.ts";
import { systemClock } from "../sdk/clock.ts";
import { encodeJson } from "../sdk/encode.ts";
import { errorText, RejectedError, TransientError } from "../sdk/errors.ts";
import { createLogger } from "../sdk/logger.ts";
import { StopSignal } from "../service/signals.ts";
import { UsageError } from "./flags.ts";
import { print } from "./print.ts";

/** `tbgw probe`: one part for each protocol that can look at a device. */
export const probeCommand = defineCommand({
  meta: { name: "probe", description: "Look at a device and print the configuration to paste" },
  subCommands: async () => {
    const parts: Record<string, CommandDef> = {};
    for (const [type, load] of Object.entries(connectorTypes)) {
      const definition = (await load()).default;
      if (definition.probe !== undefined) {
        parts[type] = probeOf(type, definition);
      }
    }
    return parts;
  },
});

function probeOf(type: string, definition: ConnectorDefinition): CommandDef {
  const args: ArgsDef = {
    ...definition.probeArgs,
    json: { type: "boolean", description: "One JSON object a line" },
  };
  return defineCommand({
    meta: { name: type, description: `Look at a device of type ${type}; nothing is changed there` },
    args,
    run: async ({ args: given }) => await runProbe(definition, optionsOf(given)),
  });
}

/** What was given on the command line: texts and flags by their names. */
function optionsOf(args: Readonly<Record<string, unknown>>): Record<string, string | boolean> {
  const options: Record<string, string | boolean> = {};
  for (const [name, value] of Object.entries(args)) {
    if (typeof value === "string" || typeof value === "boolean") {
      options[name] = value;
    }
  }
  return options;
}

async function runProbe(
  definition: ConnectorDefinition,
  options: Readonly<Record<string, string | boolean>>,
): Promise<number> {
  using stop = new StopSignal();
  const log = createLogger({
    source: "probe",
    level: "warn",
    clock: systemClock,
    sink: (record) => process.stderr.write(`${formatLogLine(record)}\n`),
  });
  const asJson = options["json"] === true;
  try {
    const findings = definition.probe?.(options, { clock: systemClock, log }, stop.signal) ?? [];
    for await (const { text, config, detail } of findings) {
      const pasted = config === undefined ? "" : `\n  ${encodeJson(config)}`;
      const facts = {
        ...(detail === undefined ? {} : { detail }),
        ...(config === undefined ? {} : { config }),
      };
      await print(asJson ? `${encodeJson({ text, ...facts })}\n` : `${text}${pasted}\n`);
    }
    return 0;
  } catch (error) {
    if (stop.signal.aborted) {
      return 1;
    }
    if (error instanceof RejectedError) {
      throw new UsageError(error.message);
    }
    if (error instanceof TransientError) {
      process.stderr.write(`${errorText(error)}\n`);
      return 1;
    }
    throw error;
  }
}
