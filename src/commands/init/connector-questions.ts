import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { TransientError } from "#sdk/errors";
import { isJsonObject, type Json } from "#sdk/model";
import type { JsonRecord } from "../../config/canonical.ts";
import { parseJson } from "../../config/document.ts";
import { UsageError } from "../flags.ts";
import type { Assistant, Look, ProbeOptions } from "./connectors/assistant.ts";
import { ble } from "./connectors/ble.ts";
import { modbus } from "./connectors/modbus.ts";
import { mqtt } from "./connectors/mqtt.ts";
import { opcua } from "./connectors/opcua.ts";
import { serial } from "./connectors/serial.ts";
import { type Draft, freeConnectorName, withConnector } from "./draft.ts";
import { type Choice, type Interview, listOf } from "./interview.ts";
import { narrowed, outlineOf, valueCount, type Wanted } from "./outline.ts";

/** What the wizard helps with, in the order it is offered. */
export const ASSISTANTS: readonly Assistant[] = [modbus, opcua, mqtt, ble, serial];

/** Looks at a device of a type. @throws the signal's reason alone */
export type LookByType = (type: string, options: ProbeOptions) => Promise<Look>;

const NONE = "none";

/** Asks for connectors one after another until there are enough. */
export async function askConnectors(
  interview: Interview,
  draft: Draft,
  place: { readonly look: LookByType; readonly cwd: string },
): Promise<Draft> {
  const named = interview.flag("connector");
  if (named !== undefined) {
    let added = draft;
    for (const type of listOf(String(named)).filter((one) => one !== NONE)) {
      added = await askConnector(interview, added, { ...place, assistant: assistantOf(type) });
    }
    return added;
  }
  let added = draft;
  while (interview.hasPerson) {
    const type = await interview.choose({
      flag: "connector",
      message: added === draft ? "What should the gateway read?" : "Another one?",
      fallback: added === draft ? "modbus" : NONE,
      choices: [
        ...ASSISTANTS.map(({ type: value, label, hint }) => ({ value, label, hint })),
        { value: NONE, label: added === draft ? "Nothing yet" : "No, that is all" },
      ],
    });
    if (type === NONE) {
      break;
    }
    added = await askConnector(interview, added, { ...place, assistant: assistantOf(type) });
    // The next one of this type is another device.
    interview.forget(type);
  }
  return added;
}

function assistantOf(type: string): Assistant {
  const found = ASSISTANTS.find((assistant) => assistant.type === type);
  if (found === undefined) {
    const known = ASSISTANTS.map((assistant) => assistant.type).join(", ");
    throw new UsageError(`--connector "${type}": must be of ${known}, or ${NONE}`);
  }
  return found;
}

interface Place {
  readonly assistant: Assistant;
  readonly look: LookByType;
  readonly cwd: string;
}

/** One connector; the draft unchanged when the person skips it. */
async function askConnector(interview: Interview, draft: Draft, place: Place): Promise<Draft> {
  const { assistant } = place;
  const { type } = assistant;
  const config = await connectorFile(interview, place);
  if (config === undefined) {
    return draft;
  }
  const name = await interview.text({
    flag: `${type}-name`,
    message: "Name of this connector",
    fallback: freeConnectorName(draft, assistant.name),
  });
  const count = valueCount(config, assistant.shape);
  interview.say("good", `${name}: ${count} ${count === 1 ? "value" : "values"}`);
  return withConnector(draft, { type, name: freeConnectorName(draft, name), config });
}

async function connectorFile(interview: Interview, place: Place): Promise<JsonRecord | undefined> {
  const { assistant, cwd } = place;
  const { type } = assistant;
  const ready = interview.flag(`${type}-file`);
  if (ready !== undefined) {
    return readReady(resolve(cwd, String(ready)), `${type}-file`);
  }
  while (true) {
    const options = await assistant.where(interview);
    if (interview.given(`${type}-values`) || interview.flag("probe") === false) {
      return await assistant.byHand(interview, options);
    }
    const outcome = await lookAndChoose(interview, place, options);
    if (outcome !== "again") {
      return outcome;
    }
    interview.askAgain(...assistant.flags.map((flag) => `${type}-${flag}`));
  }
}

async function lookAndChoose(
  interview: Interview,
  { assistant, look }: Place,
  given: ProbeOptions,
): Promise<JsonRecord | undefined | "again"> {
  const { type } = assistant;
  interview.say("step", `Looking (Ctrl-C ends without writing anything) …`);
  const looker = (options: ProbeOptions): Promise<Look> => look(type, options);
  const refined = (await assistant.refine?.(interview, given, looker)) ?? given;
  const { options, seen } = await lookTwice(assistant, refined, looker);
  if (seen.config === undefined) {
    return await afterNothing(interview, { assistant, options, seen });
  }
  const config = assistant.complete?.(seen.config, options) ?? seen.config;
  interview.say("info", proposalText(assistant, config));
  const answer = await interview.choose({
    flag: `${type}-proposal`,
    message: "Take this?",
    fallback: "accept",
    choices: [
      { value: "accept", label: "Yes, all of it" },
      { value: "edit", label: "Choose and name devices and values" },
      { value: "again", label: "Look again, with other answers" },
      { value: "hand", label: "Enter the values by hand" },
      { value: "skip", label: "Leave this connector out" },
    ],
  });
  switch (answer) {
    case "edit":
      return await edit(interview, assistant, config);
    case "hand":
      return await assistant.byHand(interview, options);
    case "again":
      return "again";
    case "skip":
      return undefined;
    default:
      return config;
  }
}

/** A second look with other options, where the first one failed for a reason that the assistant knows a way around. */
async function lookTwice(
  assistant: Assistant,
  options: ProbeOptions,
  looker: (options: ProbeOptions) => Promise<Look>,
): Promise<{ readonly options: ProbeOptions; readonly seen: Look }> {
  const seen = await looker(options);
  const other =
    seen.problem === undefined ? undefined : assistant.otherwise?.(options, seen.problem);
  return other === undefined ? { options, seen } : { options: other, seen: await looker(other) };
}

/** Nothing to propose: said in words; what goes on is the person's choice. @throws TransientError when there is none to ask */
async function afterNothing(
  interview: Interview,
  found: { readonly assistant: Assistant; readonly options: ProbeOptions; readonly seen: Look },
): Promise<JsonRecord | undefined | "again"> {
  const { assistant, options, seen } = found;
  const { type } = assistant;
  const problem = seen.problem ?? seen.lines.at(-1) ?? "nothing was found";
  if (!interview.hasPerson) {
    throw new TransientError(
      `${assistant.label}: ${problem}\nNothing was written. Say the values with --${type}-values to go on without looking, or leave ${type} out of --connector.`,
    );
  }
  interview.say("bad", problem);
  const answer = await interview.choose({
    flag: `${type}-otherwise`,
    message: "There is nothing to propose. What next?",
    fallback: "again",
    choices: [
      { value: "again", label: "Look again, with other answers" },
      {
        value: "hand",
        label: "Enter the values by hand",
        hint: "the device may be switched on later",
      },
      { value: "skip", label: "Leave this connector out" },
    ],
  });
  if (answer === "hand") {
    return await assistant.byHand(interview, options);
  }
  return answer === "skip" ? undefined : "again";
}

/** Values of one device that are shown before it is taken. */
const MAX_SHOWN = 12;

function proposalText({ shape }: Assistant, config: JsonRecord): string {
  const lines = outlineOf(config, shape).map(({ name, values }) => {
    const shown = values.slice(0, MAX_SHOWN).join(", ");
    const more = values.length > MAX_SHOWN ? ` and ${values.length - MAX_SHOWN} more` : "";
    return `  ${name}: ${shown}${more}`;
  });
  return ["Proposed:", ...lines].join("\n");
}

/** Which devices and values stay, and what they are called. */
async function edit(
  interview: Interview,
  { type, shape }: Assistant,
  config: JsonRecord,
): Promise<JsonRecord | undefined> {
  const outline = outlineOf(config, shape);
  const choices = outline.flatMap(({ name, values }, device): readonly Choice[] =>
    values.map((key, value) => ({ value: `${device}/${value}`, label: `${name}: ${key}` })),
  );
  const kept = await interview.select({
    flag: `${type}-keep`,
    message: "Which values stay? (space switches one, Enter goes on)",
    choices,
    fallback: choices.map(({ value }) => value),
  });
  const wanted: (Wanted | undefined)[] = [];
  for (const [device, { name, values }] of outline.entries()) {
    const places = [...values.keys()].filter((place) => kept.includes(`${device}/${place}`));
    wanted.push(
      places.length === 0 ? undefined : await rename(interview, type, { name, values, places }),
    );
  }
  return wanted.every((one) => one === undefined) ? undefined : narrowed(config, shape, wanted);
}

async function rename(
  interview: Interview,
  type: string,
  device: {
    readonly name: string;
    readonly values: readonly string[];
    readonly places: readonly number[];
  },
): Promise<Wanted> {
  const { places } = device;
  const keys = places.map((place) => device.values[place] ?? "");
  // The name of a broker's device is in its messages; its file has topics in that place.
  const name =
    type === "mqtt"
      ? device.name
      : await interview.ask({
          message: `Name of the device ${device.name}`,
          fallback: device.name,
        });
  const renamed = listOf(
    await interview.ask({
      message: `Names of its values, in this order`,
      fallback: keys.join(", "),
      check: (text) =>
        listOf(text).length === keys.length ? undefined : `${keys.length} names are needed`,
    }),
  );
  return { name, keys: new Map(places.map((place, index) => [place, renamed[index] ?? ""])) };
}

function readReady(file: string, flag: string): JsonRecord {
  if (!existsSync(file)) {
    throw new UsageError(`--${flag}: there is no file ${file}`);
  }
  const { value } = parseJson(readFileSync(file, "utf8"));
  const config: Json | undefined = value;
  if (!isJsonObject(config)) {
    throw new UsageError(`--${flag}: ${file} must hold one JSON object`);
  }
  return config;
}
