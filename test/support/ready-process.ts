import { join } from "node:path";
import { pythonWithPeers } from "./python.ts";

/** A process of the tests that says `ready` on its standard output. Disposing kills it. */
export class ReadyProcess implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "inherit">;

  private constructor(child: Bun.Subprocess<"ignore", "pipe", "inherit">) {
    this.#child = child;
  }

  /** Starts a Python script of this folder and waits until it is ready. */
  static async python(script: string, ...args: readonly string[]): Promise<ReadyProcess> {
    return await ReadyProcess.start([
      await pythonWithPeers(),
      join(import.meta.dir, script),
      ...args,
    ]);
  }

  /** Starts a command and waits until it is ready. @throws Error when it ends before */
  static async start(command: readonly string[]): Promise<ReadyProcess> {
    const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
    const reader = child.stdout.getReader();
    let text = "";
    while (!text.includes("ready")) {
      const { value, done } = await reader.read();
      if (done) {
        throw new Error(`${command.join(" ")} ended before it was ready`);
      }
      text += new TextDecoder().decode(value);
    }
    reader.releaseLock();
    return new ReadyProcess(child);
  }

  /** Stops and continues it, as a device that is switched off and on. */
  pause(paused: boolean): void {
    this.#child.kill(paused ? "SIGSTOP" : "SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}
