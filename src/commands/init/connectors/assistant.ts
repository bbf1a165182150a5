import type { JsonRecord } from "../../../config/canonical.ts";
import type { Interview } from "../interview.ts";
import type { OutlineShape } from "../outline.ts";

/** Options of `tbgw probe`. */
export type ProbeOptions = Readonly<Record<string, string | boolean>>;

/** What a look at a device found. */
export interface Look {
  /** A connector file; `undefined` when there is nothing to propose. */
  readonly config: JsonRecord | undefined;
  /** What is told of it to a person, line by line. */
  readonly lines: readonly string[];
  /** The details of its findings. */
  readonly details: readonly JsonRecord[];
  /** Why it ended early. */
  readonly problem: string | undefined;
}

/** Looks at a device with these options. @throws the signal's reason alone */
export type Looker = (options: ProbeOptions) => Promise<Look>;

/** What the wizard knows of one type of connector. */
export interface Assistant {
  readonly type: string;
  readonly label: string;
  readonly hint: string;
  /** Name that its connector gets without another word. */
  readonly name: string;
  readonly shape: OutlineShape;
  /** The options that are asked again when the device was not found. */
  readonly flags: readonly string[];
  /** Asks where the device is. */
  where(interview: Interview): Promise<ProbeOptions>;
  /** Asks what only a first look can tell. */
  refine?(interview: Interview, options: ProbeOptions, look: Looker): Promise<ProbeOptions>;
  /** Other options to try by itself after a look failed with this problem; `undefined`: none. */
  otherwise?(options: ProbeOptions, problem: string): ProbeOptions | undefined;
  /** A proposed file with what was typed in, in the place of what a probe leaves open. */
  complete?(config: JsonRecord, options: ProbeOptions): JsonRecord;
  /** Asks for the values one by one, where the device cannot be looked at. */
  byHand(interview: Interview, options: ProbeOptions): Promise<JsonRecord>;
}

/** `name=rest` pairs that commas separate. @throws Error naming the part that is none */
export function parsePairs(
  text: string,
): readonly { readonly name: string; readonly rest: string }[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) => {
      const [, name, rest] = /^([^=]+)=(.+)$/.exec(part) ?? [];
      if (name === undefined || rest === undefined) {
        throw new Error(`"${part}" is not NAME=…`);
      }
      return { name: name.trim(), rest: rest.trim() };
    });
}

/** What is wrong with a text that `parse` must take; nothing when it takes it and finds something in it. */
export function problemIn(
  parse: (text: string) => readonly unknown[],
  text: string,
): string | undefined {
  try {
    return parse(text).length === 0 ? "at least one value is needed" : undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** An option as text; empty when it is not there. */
export function optionText(options: ProbeOptions, name: string): string {
  const value = options[name];
  return typeof value === "string" ? value : "";
}

/** The options that are not empty. */
export function given(options: ProbeOptions): ProbeOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== ""));
}
