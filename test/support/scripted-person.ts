import type { Terminal } from "../../src/commands/init/interview.ts";

/** Answers by what is asked: the first of `answers` whose text is in the question, each once; the default where there is none. */
export class ScriptedPerson {
  readonly terminal: Terminal;
  /** What was asked and said, in order. */
  readonly heard: string[] = [];
  readonly #answers: (readonly [question: string, answer: string])[];

  constructor(answers: readonly (readonly [question: string, answer: string])[]) {
    this.#answers = [...answers];
    this.terminal = {
      text: async ({ message, fallback }) => await this.#answer(message, fallback),
      secret: async ({ message }) => await this.#answer(message, undefined),
      choose: async ({ message, fallback, choices }) => {
        const answer = await this.#answer(message, fallback);
        if (!choices.some(({ value }) => value === answer)) {
          throw new Error(`"${message}" has no "${answer}"`);
        }
        return answer;
      },
      select: async ({ message, fallback }) =>
        (await this.#answer(message, fallback.join(","))).split(","),
      confirm: async ({ message, fallback }) =>
        (await this.#answer(message, String(fallback))) === "true",
      say: (_tone, text) => {
        this.heard.push(text);
      },
    };
  }

  /** Answers that no question has asked for. */
  get unasked(): readonly string[] {
    return this.#answers.map(([question]) => question);
  }

  async #answer(message: string, fallback: string | undefined): Promise<string> {
    this.heard.push(message);
    const index = this.#answers.findIndex(([question]) => message.includes(question));
    const [found] = index < 0 ? [] : this.#answers.splice(index, 1);
    const answer = found?.[1] ?? fallback;
    if (answer === undefined) {
      throw new Error(`Nobody answers "${message}"`);
    }
    return await Promise.resolve(answer);
  }
}
