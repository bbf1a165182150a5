import { randomUUID } from "node:crypto";
import { until } from "./until.ts";

/** Room for all that a program says, so that nothing scrolls away. */
const ROOMY = { columns: 140, rows: 250 };

/** A machine may be busy with other tests. */
const PATIENCE_MS = 60_000;

/** A real terminal: a program in a session of tmux, with a server of its own that nothing else sees. */
export class TmuxTerminal implements AsyncDisposable {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  /** Starts a line of shell in a folder. @throws Error when tmux is missing */
  static async start(command: string, cwd: string, size = ROOMY): Promise<TmuxTerminal> {
    const terminal = new TmuxTerminal(`tbgw-${randomUUID()}`);
    // The last command keeps the screen after the program has ended.
    const line = `${command}; echo "ended with $?"; exec sleep 600`;
    const [columns, rows] = [String(size.columns), String(size.rows)];
    await terminal.#tmux("new-session", "-d", "-x", columns, "-y", rows, "-c", cwd, line);
    return terminal;
  }

  /** What is on the screen, without blanks at the ends of lines. */
  async screen(): Promise<string> {
    const text = await this.#tmux("capture-pane", "-p");
    return text.replaceAll(/[ \n]+$/gm, "");
  }

  /** Waits until the screen shows a text, or matches. */
  async shows(text: string | RegExp): Promise<void> {
    let last = "";
    try {
      const isShown = async (): Promise<boolean> => {
        last = await this.screen();
        return typeof text === "string" ? last.includes(text) : text.test(last);
      };
      await until(`the screen shows ${String(text)}`, isShown, PATIENCE_MS);
    } catch (error) {
      throw new Error(`${String(error)}; it shows:\n${last}`, { cause: error });
    }
  }

  /** Presses keys by their names: `Enter`, `Down`, `C-c`. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#tmux("send-keys", ...keys);
  }

  /** Types a text. */
  async type(text: string): Promise<void> {
    await this.#tmux("send-keys", "-l", text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux("kill-server").catch(() => undefined); // It has ended by itself.
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    const child = Bun.spawn(["tmux", "-L", this.#socket, "-f", "/dev/null", ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { PATH: process.env["PATH"], HOME: "/", LANG: "C.UTF-8", TERM: "xterm-256color" },
    });
    const [text, problem] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    if ((await child.exited) !== 0) {
      throw new Error(`tmux ${args[0] ?? ""}: ${problem}`);
    }
    return text;
  }
}
