import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type Clock, systemClock } from "#sdk/clock";
import { encodeJson } from "#sdk/encode";
import { ConfigError, DataError, errorText } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { createLogger, type Logger, type LogRecord } from "#sdk/logger";
import { isJsonObject, type Json } from "#sdk/model";
import { createConverters } from "../connector/converters.ts";
import { messageText } from "../logging/stdout.ts";
import { checkConfig, sayConfigError } from "./author-config.ts";
import type { AuthorCode, TestTask } from "./author-port.ts";
import type { AuthorOutput } from "./author-work.ts";
import { type Definition, type DefinitionOf, typeOf } from "./definitions.ts";
import { rawOf } from "./raw-input.ts";
import { recordText } from "./record-text.ts";

const clock: Clock = systemClock;

/** Runs a converter or a method once, or a connector for a while, and says what it makes. */
export async function tryOut(
  definition: Definition,
  task: TestTask,
  output: AuthorOutput,
): Promise<AuthorCode> {
  if (definition.kind === "connector") {
    const { runConnector } = await import("./author-connector.ts");
    return await runConnector(definition, task, output);
  }
  if (task.input === undefined && definition.kind !== "rpc") {
    const what = definition.kind === "uplink" ? "the payload" : "the value";
    output.send({ kind: "problem", text: `--input FILE is missing: ${what} to convert` });
    return 2;
  }
  const { code, config } = await configOf(definition, task, output);
  if (code !== 0) {
    return code;
  }
  try {
    switch (definition.kind) {
      case "uplink":
        return await tryUplink(definition, { config, task }, output);
      case "downlink":
        return await tryDownlink(definition, { config, task }, output);
      case "rpc":
        return await tryRpc(definition, { config, task }, output);
    }
  } catch (error) {
    return sayConfigError(error, output);
  }
}

/** Without `--config` what the shortest configuration would be. */
async function configOf(
  definition: Exclude<DefinitionOf[keyof DefinitionOf], DefinitionOf["connector"]>,
  task: TestTask,
  output: AuthorOutput,
): Promise<{ readonly code: AuthorCode; readonly config: unknown }> {
  if (task.config !== undefined && definition.kind !== "rpc") {
    return await checkConfig(definition, task, output);
  }
  const extension = definition.name;
  const isMqtt = definition.kind === "uplink" && typeOf(definition) === "mqtt";
  return {
    code: 0,
    config: isMqtt ? { converter: { type: "custom", extension, extensionConfig: {} } } : {},
  };
}

/** What a converter was given to work with. */
interface Trial {
  readonly config: unknown;
  readonly task: TestTask;
}

async function tryUplink(
  definition: DefinitionOf["uplink"],
  { config, task }: Trial,
  output: AuthorOutput,
): Promise<AuthorCode> {
  let failed = false;
  const log = loggerOf(definition.name, output);
  const connector = { id: randomUUID(), name: "Test", type: typeOf(definition) };
  const metrics = {
    count: () => undefined,
    rejected: (reason: string, count = 1) => {
      failed ||= reason === "converter-error";
      output.send({ kind: "problem", text: `rejected ${count} (${reason})` });
    },
  };
  const converters = createConverters({
    connector,
    log,
    rareLog: log,
    metrics,
    uplinks: { [definition.name]: async () => ({ default: definition }) },
  });
  const convert = await converters.uplink(definition.name, config);
  const raw = await rawOf(connector.type, task, clock.now());
  for (const record of convert(raw)) {
    const { text, rejected } = recordText(record, clock.now());
    output.send({ kind: "out", text });
    if (rejected > 0) {
      metrics.rejected("bad-value", rejected);
    }
  }
  return failed ? 1 : 0;
}

async function tryDownlink(
  definition: DefinitionOf["downlink"],
  { config, task }: Trial,
  output: AuthorOutput,
): Promise<AuthorCode> {
  const log = loggerOf(definition.name, output);
  const connector = { id: randomUUID(), name: "Test", type: typeOf(definition) };
  const converters = createConverters({
    connector,
    log,
    rareLog: log,
    metrics: { count: () => undefined, rejected: () => undefined },
    downlinks: { [definition.name]: async () => ({ default: definition }) },
  });
  const convert = await converters.downlink(definition.name, config);
  const input = readJson((await readFile(task.input ?? "", "utf8")).trim());
  const given = isJsonObject(input) && "value" in input ? input : { value: input };
  const member = (name: string, otherwise: string): string => {
    const value = given[name];
    return typeof value === "string" ? value : otherwise;
  };
  try {
    const made = convert({
      deviceName: member("deviceName", task.device ?? "Device"),
      source: member("source", "rpc") === "attribute" ? "attribute" : "rpc",
      name: member("name", "value"),
      value: given["value"] ?? null,
      entry: given["entry"] ?? {},
    });
    output.send({ kind: "out", text: wireText(made) });
    return 0;
  } catch (error) {
    if (error instanceof ConfigError) {
      throw error;
    }
    output.send({ kind: "problem", text: errorText(error) });
    return 1;
  }
}

/** `2 bytes: 00 d7`; of text both. */
function wireText(made: Uint8Array | string | null): string {
  if (made === null) {
    return "nothing is sent";
  }
  const bytes = Buffer.from(made);
  const hex = bytes.toString("hex").replaceAll(/(..)(?=.)/g, "$1 ");
  const text = typeof made === "string" ? ` = ${JSON.stringify(made)}` : "";
  return `${bytes.length} bytes: ${hex}${text}`;
}

async function tryRpc(
  definition: DefinitionOf["rpc"],
  { task }: Trial,
  output: AuthorOutput,
): Promise<AuthorCode> {
  const params =
    task.input === undefined ? null : readJson(readFileSync(task.input, "utf8").trim());
  const result = await definition.params["~standard"].validate(params);
  if (result.issues !== undefined) {
    for (const { message } of result.issues) {
      output.send({ kind: "problem", text: `params: ${message}` });
    }
    return 3;
  }
  const stored = async (values: Json): Promise<{ readonly status: "stored" }> => {
    output.send({ kind: "out", text: `gateway ${encodeJson(values)}` });
    return { status: "stored" };
  };
  const tools = {
    log: loggerOf(definition.name, output),
    clock,
    gateway: { attributes: stored, telemetry: stored },
  };
  try {
    const answer = await definition.run(result.value, tools, output.signal);
    output.send({ kind: "out", text: `reply ${encodeJson(answer ?? { success: true })}` });
    return 0;
  } catch (error) {
    const isKnown = error instanceof DataError;
    output.send({ kind: "problem", text: `${isKnown ? "" : "it failed: "}${errorText(error)}` });
    return 1;
  }
}

/** A logger whose lines are said. */
export function loggerOf(source: string, output: AuthorOutput): Logger {
  const sink = (line: LogRecord): void =>
    output.send({ kind: "problem", text: `${line.level.toUpperCase()} ${messageText(line)}` });
  return createLogger({ source, level: "info", clock, sink });
}
