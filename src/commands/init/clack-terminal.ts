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

/**
 * Asks in the terminal of the process, after a line that says what this is, until `signal` aborts: a question is then cancelled. Loaded by
 * a person's `tbgw init` alone.
 */
export function clackTerminal(title: string, signal: AbortSignal): Terminal {
  intro(title);
  const gone = new Promise<typeof CANCEL_SYMBOL>((resolve) => {
    signal.addEventListener("abort", () => resolve(CANCEL_SYMBOL), { once: true });
  });
  /** The answer; a prompt whose terminal is gone may never settle by itself. */
  const asked = async <Value>(prompt: Promise<Value | typeof CANCEL_SYMBOL>): Promise<Value> => {
    const answer = await Promise.race([prompt, gone]);
    if (answer === CANCEL_SYMBOL) {
      cancel("Stopped.");
      throw new Cancelled();
    }
    return answer;
  };
  return {
    text: async ({ message, fallback, example, check }) =>
      (await asked(
        text({
          signal,
          message,
          ...(example === undefined ? {} : { placeholder: example }),
          ...(fallback === undefined ? {} : { initialValue: fallback }),
          validate: (value) => problemOf(value, fallback !== undefined, check),
        }),
      )) ?? "",
    secret: async ({ message, optional }) =>
      (await asked(
        password({
          signal,
          message,
          validate: (value) => problemOf(value, optional === true, undefined),
        }),
      )) ?? "",
    choose: ({ message, choices, fallback }) =>
      asked(
        select({
          signal,
          message,
          options: optionsOf(choices),
          ...(fallback === undefined ? {} : { initialValue: fallback }),
        }),
      ),
    select: ({ message, choices, fallback }) =>
      asked(
        multiselect({
          signal,
          message,
          options: optionsOf(choices),
          initialValues: [...fallback],
          required: false,
          maxItems: 15,
        }),
      ),
    confirm: ({ message, fallback }) => asked(confirm({ signal, message, initialValue: fallback })),
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
