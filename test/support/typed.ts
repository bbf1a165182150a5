import { join } from "node:path";

/** A command as a person types it, in a folder whose `bin` has the program; its output is collected. */
export class Typed implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  output = "";

  constructor(line: string, cwd: string) {
    // Only what the README asks for is there: the program, by its name.
    const env = { PATH: `${join(cwd, "bin")}:/usr/bin:/bin`, TB_GW_CONFIG_DIR: "" };
    this.#child = Bun.spawn(["sh", "-c", `exec ${line}`], {
      cwd,
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      const decoder = new TextDecoder();
      const sink = new WritableStream<Uint8Array>({
        write: (chunk) => {
          this.output += decoder.decode(chunk, { stream: true });
        },
      });
      stream.pipeTo(sink).catch(() => undefined); // It was killed.
    }
  }

  async ended(): Promise<number> {
    return await this.#child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.exited;
  }
}
