import { readFileSync } from "node:fs";
import { errorText } from "#sdk/errors";
import type { Environment } from "../../config/directories.ts";
import { UsageError } from "../flags.ts";

/** The person has had enough: nothing is written. */
export class Cancelled extends Error {
  override readonly name = "Cancelled";

  constructor() {
    super("Cancelled: nothing was written");
  }
}

/** What is wrong with an answer, in words; `undefined` when nothing is. */
export type Check = (text: string) => string | undefined;

/** One of several answers. */
export interface Choice {
  readonly value: string;
  readonly label: string;
  readonly hint?: string;
}

/** What every question has. */
interface Asked {
  /** The option of the command line that answers it, without dashes. */
  readonly flag: string;
  readonly message: string;
}

/** A question that a text answers. Without `fallback` there must be an answer. */
export interface TextQuestion extends Asked {
  readonly fallback?: string | undefined;
  /** An example of an answer. */
  readonly example?: string;
  readonly check?: Check;
}

/** A question whose answer is not shown. `FLAG-file` names a file that holds it, `variable` an environment variable. */
export interface SecretQuestion extends Asked {
  readonly variable?: string;
  /** It may be left out. */
  readonly optional?: boolean;
}

/** A question with given answers. */
export interface ChoiceQuestion extends Asked {
  readonly choices: readonly Choice[];
  readonly fallback?: string | undefined;
}

/** A question with several of the given answers. */
export interface SelectionQuestion extends Asked {
  readonly choices: readonly Choice[];
  readonly fallback: readonly string[];
}

/** A question with yes or no. */
export interface YesNoQuestion extends Asked {
  readonly fallback: boolean;
}

/** How something that is not a question is shown. */
export type Tone = "step" | "info" | "good" | "warn" | "bad";

/** Where a person answers. Every question throws `Cancelled` on Ctrl-C. */
export interface Terminal {
  text(question: TextQuestion): Promise<string>;
  secret(question: SecretQuestion): Promise<string>;
  choose(question: ChoiceQuestion): Promise<string>;
  select(question: SelectionQuestion): Promise<readonly string[]>;
  confirm(question: YesNoQuestion): Promise<boolean>;
  say(tone: Tone, text: string): void;
}

/** Options of the command line by their names. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

/** What an interview is made from. */
export interface InterviewOptions {
  readonly flags: Flags;
  readonly env: Environment;
  /** `undefined`: nobody is there to ask. */
  readonly terminal: Terminal | undefined;
  /** Defaults are taken without asking. */
  readonly takesDefaults: boolean;
  readonly say: Terminal["say"];
}

/**
 * Answers each question from the command line, else from the person at the terminal, else by its default. What nobody answers is a
 * `UsageError` that names the option; so is an answer of the command line that is none.
 */
export class Interview {
  readonly say: Terminal["say"];
  readonly #options: InterviewOptions;
  readonly #flags: Map<string, string | boolean>;
  readonly #earlier = new Map<string, string>();
  readonly #secrets = new Map<string, string>();

  constructor(options: InterviewOptions) {
    this.#options = options;
    this.say = options.say;
    const given = Object.entries(options.flags).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    );
    this.#flags = new Map(given);
  }

  /** Whether somebody is asked also what has a default. */
  get hasPerson(): boolean {
    return this.#options.terminal !== undefined && !this.#options.takesDefaults;
  }

  /** Whether the command line answers any of these. */
  given(...flags: readonly string[]): boolean {
    return flags.some((flag) => this.#flags.has(flag));
  }

  /** An option that is no question. */
  flag(name: string): string | boolean | undefined {
    return this.#flags.get(name);
  }

  /** These are asked again, with the earlier answers as defaults: what the command line said did not work. */
  askAgain(...flags: readonly string[]): void {
    for (const flag of flags) {
      const before = this.#flags.get(flag);
      if (before !== undefined) {
        this.#earlier.set(flag, String(before));
      }
      this.#flags.delete(flag);
    }
  }

  /** These are not asked again: they stay as they were answered. */
  keep(...flags: readonly string[]): void {
    for (const flag of flags) {
      const before = this.#earlier.get(flag);
      if (before !== undefined && !this.#flags.has(flag)) {
        this.#flags.set(flag, before);
      }
    }
  }

  /** Answers of an earlier configuration, as defaults; empty ones count for nothing. `secrets` are not shown. */
  suggest(
    answers: Readonly<Record<string, string>>,
    secrets: Readonly<Record<string, string>>,
  ): void {
    for (const [given, into] of [
      [answers, this.#earlier],
      [secrets, this.#secrets],
    ] as const) {
      for (const [flag, answer] of Object.entries(given)) {
        if (answer !== "") {
          into.set(flag, answer);
        }
      }
    }
  }

  /** Everything that was said about a type of connector: the next one is another device. */
  forget(type: string): void {
    for (const answers of [this.#flags, this.#earlier]) {
      for (const flag of [...answers.keys()].filter((one) => one.startsWith(`${type}-`))) {
        answers.delete(flag);
      }
    }
    this.#earlier.delete("connector");
  }

  /** A question about a detail, which only a person at the terminal is asked. */
  async ask(question: Omit<TextQuestion, "flag"> & { readonly fallback: string }): Promise<string> {
    const { terminal } = this.#options;
    return terminal === undefined
      ? question.fallback
      : await terminal.text({ ...question, flag: "" });
  }

  async text(question: TextQuestion): Promise<string> {
    const { flag, check } = question;
    const given = this.#flags.get(flag);
    if (given !== undefined) {
      return checked(flag, String(given), check);
    }
    const fallback = this.#earlier.get(flag) ?? question.fallback;
    const answer = await this.#answer(question, fallback, (terminal) =>
      terminal.text({ ...question, fallback }),
    );
    this.#earlier.set(flag, answer);
    return answer;
  }

  async secret(question: SecretQuestion): Promise<string> {
    const { flag, variable, optional } = question;
    const given = this.#flags.get(flag) ?? this.#fileContent(`${flag}-file`);
    if (given !== undefined) {
      return String(given);
    }
    const inherited = variable === undefined ? undefined : this.#options.env[variable];
    if (inherited !== undefined && inherited !== "" && !this.#earlier.has(flag)) {
      // Once only: when it does not work, a person is asked.
      this.#earlier.set(flag, "");
      this.say("info", `${question.message}: taken from the variable ${variable}`);
      return inherited;
    }
    const before = this.#secrets.get(flag);
    if (before === undefined) {
      return await this.#answer(question, optional === true ? "" : undefined, (terminal) =>
        terminal.secret(question),
      );
    }
    const message = `${question.message} (empty: as before)`;
    const answer = await this.#answer(question, before, (terminal) =>
      terminal.secret({ ...question, message, optional: true }),
    );
    return answer === "" ? before : answer;
  }

  async choose(question: ChoiceQuestion): Promise<string> {
    const { flag, choices } = question;
    const given = this.#flags.get(flag);
    if (given !== undefined) {
      return checked(flag, String(given), oneOf(choices));
    }
    const fallback = this.#earlier.get(flag) ?? question.fallback;
    const answer = await this.#answer(question, fallback, (terminal) =>
      terminal.choose({ ...question, fallback }),
    );
    this.#earlier.set(flag, answer);
    return answer;
  }

  async select(question: SelectionQuestion): Promise<readonly string[]> {
    const { flag, choices, fallback } = question;
    const given = this.#flags.get(flag);
    if (given !== undefined) {
      const names = listOf(String(given));
      for (const name of names) {
        checked(flag, name, oneOf(choices));
      }
      return names;
    }
    return await this.#answer(question, fallback, (terminal) => terminal.select(question));
  }

  async confirm(question: YesNoQuestion): Promise<boolean> {
    const given = this.#flags.get(question.flag);
    if (given !== undefined) {
      return given === true || given === "true";
    }
    const before = this.#earlier.get(question.flag);
    const fallback = before === undefined ? question.fallback : before === "true";
    const answer = await this.#answer(question, fallback, (terminal) =>
      terminal.confirm({ ...question, fallback }),
    );
    this.#earlier.set(question.flag, String(answer));
    return answer;
  }

  async #answer<Answer>(
    { flag, message }: Asked,
    fallback: Answer | undefined,
    ask: (terminal: Terminal) => Promise<Answer>,
  ): Promise<Answer> {
    const { terminal, takesDefaults } = this.#options;
    if (fallback !== undefined && (takesDefaults || terminal === undefined)) {
      return fallback;
    }
    if (terminal === undefined) {
      throw new UsageError(
        `--${flag} is missing (${message}). Without a terminal everything that has no default must be said by options: "tbgw init --help" lists them.`,
      );
    }
    return await ask(terminal);
  }

  #fileContent(flag: string): string | undefined {
    const file = this.#flags.get(flag);
    if (file === undefined) {
      return undefined;
    }
    try {
      // Editors and `echo` end a file with a line break that is no part of the secret.
      return readFileSync(String(file), "utf8").replace(/\r?\n$/, "");
    } catch (error) {
      throw new UsageError(`--${flag}: cannot read ${String(file)}: ${errorText(error)}`);
    }
  }
}

function checked(flag: string, text: string, check: Check | undefined): string {
  const problem = check?.(text);
  if (problem !== undefined) {
    throw new UsageError(`--${flag} ${JSON.stringify(text)}: ${problem}`);
  }
  return text;
}

function oneOf(choices: readonly Choice[]): Check {
  const values = choices.map(({ value }) => value);
  return (text) =>
    values.includes(text) ? undefined : `must be one of ${values.join(", ") || "nothing"}`;
}

/** The parts of a text that commas separate. */
export function listOf(text: string): readonly string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
