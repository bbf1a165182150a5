import { dirname } from "node:path";
import { systemClock } from "#sdk/clock";
import { encodeJson } from "#sdk/encode";
import { ConfigError, errorText } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { createLogger } from "#sdk/logger";
import { isJsonObject, type Json } from "#sdk/model";
import { messageText } from "../logging/stdout.ts";
import { checkConfig, sayConfigError } from "./author-config.ts";
import type { AuthorCode, TestTask } from "./author-port.ts";
import type { AuthorOutput } from "./author-work.ts";
import { ExtensionCatalogue } from "./catalogue.ts";
import { type DefinitionOf, typeOf } from "./definitions.ts";
import { recordText } from "./record-text.ts";
import { type PlatformEvent, TestPlatform } from "./test-platform.ts";
import { type ConverterLookups, ExtensionUses } from "./uses.ts";

const clock = systemClock;

/** Runs a connector for a while with a platform in memory, and says every record, state and answer. */
export async function runConnector(
  definition: DefinitionOf["connector"],
  task: TestTask,
  output: AuthorOutput,
): Promise<AuthorCode> {
  if (task.config === undefined) {
    output.send({ kind: "problem", text: "--config FILE is missing: the file of the connector" });
    return 2;
  }
  const calls = jsonList(task.rpc);
  const updates = jsonList(task.attributes);
  const { code, config, id } = await checkConfig(definition, task, output);
  if (code !== 0) {
    return code;
  }
  const type = typeOf(definition);
  const first = Promise.withResolvers<void>();
  const onEvent = (event: PlatformEvent): void => {
    sayEvent(event, output);
    if (event.kind === "record") {
      first.resolve();
    }
  };
  const connector = { id, name: definition.name ?? type, type };
  const converters = convertersBeside(task.file, connector);
  await using platform = new TestPlatform({ connector, onEvent, converters });
  try {
    await platform.start(definition, config);
  } catch (error) {
    return error instanceof ConfigError ? sayConfigError(error, output) : ended(error, output);
  }
  const over = clock.deadline(task.seconds * 1000, output.signal);
  const aborted = Promise.withResolvers<undefined>();
  over.addEventListener("abort", () => aborted.resolve(undefined), { once: true });
  const end = platform.ended().catch((error: unknown) => ({ error }));
  const talk = first.promise.then(() => tell(platform, { calls, updates }, output));
  talk.catch(() => undefined); // Awaited below, unless the connector ends before.
  const how = await Promise.race([end, aborted.promise]);
  if (how !== undefined) {
    return ended(how.error, output);
  }
  await Promise.race([talk, Promise.resolve()]);
  return 0;
}

/** The converters in the folder of extensions that the file is in. */
function convertersBeside(
  file: string,
  connector: { readonly id: string; readonly name: string; readonly type: string },
): ConverterLookups {
  const log = createLogger({ source: "extension", level: "none", clock, sink: () => undefined });
  const roots = [dirname(dirname(file))];
  const catalogue = new ExtensionCatalogue({ roots, log, allowInsecure: true });
  return new ExtensionUses(catalogue).of(connector);
}

function ended(error: unknown, output: AuthorOutput): AuthorCode {
  output.send({ kind: "problem", text: `the connector has ended: ${errorText(error)}` });
  return 1;
}

async function tell(
  platform: TestPlatform,
  { calls, updates }: { readonly calls: readonly Json[]; readonly updates: readonly Json[] },
  output: AuthorOutput,
): Promise<void> {
  for (const update of updates) {
    const { device, values } = isJsonObject(update) ? update : {};
    if (typeof device !== "string" || !isJsonObject(values)) {
      output.send({ kind: "problem", text: '--attributes takes {"device":…,"values":{…}}' });
      continue;
    }
    try {
      await platform.attributes({ deviceName: device, values, removed: [] });
      output.send({ kind: "out", text: `attributes of ${device} were taken` });
    } catch (error) {
      output.send({ kind: "problem", text: `attributes of ${device}: ${errorText(error)}` });
    }
  }
  for (const call of calls) {
    const { device, method, params = null } = isJsonObject(call) ? call : {};
    if (typeof method !== "string") {
      output.send({ kind: "problem", text: '--rpc takes {"device":…,"method":…,"params":…}' });
      continue;
    }
    const to = typeof device === "string" ? { deviceName: device } : {};
    const answer = await platform.rpc({ ...to, method, params });
    output.send({ kind: "out", text: `reply ${encodeJson(answer)}` });
  }
}

function jsonList(text: string | undefined): readonly Json[] {
  const json = text === undefined ? [] : readJson(text);
  return isList(json) ? json : [json];
}

function isList(json: Json): json is readonly Json[] {
  return Array.isArray(json);
}

function sayEvent(event: PlatformEvent, output: AuthorOutput): void {
  switch (event.kind) {
    case "record":
      return say(output, `record ${recordText(event.data, clock.now()).text}`);
    case "gateway": {
      const { text } = recordText({ deviceName: "", ...event.data }, clock.now());
      return say(output, `gateway ${text}`);
    }
    case "status":
      return say(
        output,
        `status ${event.status}${event.detail === undefined ? "" : `: ${event.detail}`}`,
      );
    case "rejected":
      return output.send({ kind: "problem", text: `rejected ${event.count} (${event.reason})` });
    case "log": {
      const { line } = event;
      const text = `${line.level.toUpperCase()} ${messageText(line)}`;
      return line.level === "debug" || line.level === "trace"
        ? undefined
        : output.send({ kind: "problem", text });
    }
  }
}

function say(output: AuthorOutput, text: string): void {
  output.send({ kind: "out", text });
}
