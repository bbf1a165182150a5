import { join } from "node:path";

/** A process of a bench and the lines it says. */
export class Talker implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #text = "";

  private constructor(command: readonly string[], cwd: string | undefined) {
    this.#child = Bun.spawn([...command], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
      ...(cwd === undefined ? {} : { cwd, env: {} }),
    });
    this.#chunks = this.#child.stdout[Symbol.asyncIterator]();
  }

  /** Runs a script of this folder. */
  static script(name: string, ...args: readonly string[]): Talker {
    return new Talker([process.execPath, join(import.meta.dir, name), ...args], undefined);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The part in parentheses of the next line that matches, from what was not looked at before. @throws Error when the process ends before */
  async says(pattern: RegExp): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        const found = pattern.exec(line);
        if (found !== null) {
          return found[1] ?? "";
        }
        continue;
      }
      const { value, done } = await this.#chunks.next();
      if (done === true) {
        throw new Error(`The process has ended before it said ${pattern}`);
      }
      this.#text += new TextDecoder().decode(value);
    }
  }

  /** Sends a signal and waits for the answer. */
  async asked(signal: "SIGUSR1" | "SIGUSR2", pattern: RegExp): Promise<string> {
    this.#child.kill(signal);
    return await this.says(pattern);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}
