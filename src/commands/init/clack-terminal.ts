import {
  CANCEL_SYMBOL,
  cancel,
  confirm,
  intro,
  log,
  multiselect,
  type Option,
  password,
  select,
  text,
} from "@clack/prompts";
import { Cancelled, type Choice, type Terminal } from "./interview.ts";

/** Asks in the terminal of the process, after a line that says what this is. Loaded by a person's `tbgw init` alone. */
export function clackTerminal(title: string): Terminal {
  intro(title);
  return {
    text: async ({ message, fallback, example, check }) =>
      answered(
        await text({
          message,
          ...(example === undefined ? {} : { placeholder: example }),
          ...(fallback === undefined ? {} : { initialValue: fallback }),
          validate: (value) => problemOf(value, fallback !== undefined, check),
        }),
      ) ?? "",
    secret: async ({ message, optional }) =>
      answered(
        await password({
          message,
          validate: (value) => problemOf(value, optional === true, undefined),
        }),
      ) ?? "",
    choose: async ({ message, choices, fallback }) =>
      answered(
        await select({
          message,
          options: optionsOf(choices),
          ...(fallback === undefined ? {} : { initialValue: fallback }),
        }),
      ),
    select: async ({ message, choices, fallback }) =>
      answered(
        await multiselect({
          message,
          options: optionsOf(choices),
          initialValues: [...fallback],
          required: false,
          maxItems: 15,
        }),
      ),
    confirm: async ({ message, fallback }) =>
      answered(await confirm({ message, initialValue: fallback })),
    say: (tone, words) => SAID[tone](words),
  };
}

const SAID = {
  step: (words: string) => log.step(words),
  info: (words: string) => log.message(words, { spacing: 0 }),
  good: (words: string) => log.success(words),
  warn: (words: string) => log.warn(words),
  bad: (words: string) => log.error(words),
} as const;

function optionsOf(choices: readonly Choice[]): Option<string>[] {
  return choices.map((choice) => ({ ...choice }));
}

function problemOf(
  value: string | undefined,
  mayBeEmpty: boolean,
  check: ((text: string) => string | undefined) | undefined,
): string | undefined {
  if (value === undefined || value === "") {
    return mayBeEmpty ? undefined : "An answer is needed (Ctrl-C ends without writing anything)";
  }
  return check?.(value);
}

function answered<Value>(value: Value | typeof CANCEL_SYMBOL): Value {
  if (value === CANCEL_SYMBOL) {
    cancel("Stopped.");
    throw new Cancelled();
  }
  return value;
}
