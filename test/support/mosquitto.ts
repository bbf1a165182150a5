import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";
import { until } from "./until.ts";

/** A mosquitto of a test: an independent broker in a process of its own. */
export class Mosquitto implements AsyncDisposable {
  readonly port: number;
  readonly #dir: string;
  #child: Bun.Subprocess;

  private constructor(port: number, dir: string) {
    this.port = port;
    this.#dir = dir;
    this.#child = this.#spawn();
  }

  /**
   * Starts it on a free port of 127.0.0.1; `lines` are added to its configuration. `{dir}` in them is its own directory, where
   * `files` are written before, by name.
   */
  static async start(
    lines: readonly string[] = [],
    files: Readonly<Record<string, string>> = {},
  ): Promise<Mosquitto> {
    const port = await freePort();
    const dir = await mkdtemp(join(tmpdir(), "tbgw-mosquitto-"));
    const config = [
      `listener ${port} 127.0.0.1`,
      "allow_anonymous true",
      "max_queued_messages 0",
      "max_inflight_messages 1000",
      "user root",
      ...lines.map((line) => line.replaceAll("{dir}", dir)),
    ];
    for (const [name, content] of Object.entries(files)) {
      await writeFile(join(dir, name), content);
    }
    await writeFile(join(dir, "mosquitto.conf"), `${config.join("\n")}\n`);
    const broker = new Mosquitto(port, dir);
    await broker.#listening();
    return broker;
  }

  /** Ends the process with a signal and waits until it is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.#child.kill(signal);
    await this.#child.exited;
  }

  /** Has it write its state to the disk now, as it does every half an hour; it needs `persistence true` in `{dir}`. */
  async save(): Promise<void> {
    const path = join(this.#dir, "mosquitto.db");
    const savedMs = async (): Promise<number> =>
      (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
    const beforeMs = await savedMs();
    this.#child.kill("SIGUSR1");
    await until("mosquitto has written its state", async () => (await savedMs()) > beforeMs);
  }

  /** Starts it again on the same port. */
  async restart(): Promise<void> {
    this.#child = this.#spawn();
    await this.#listening();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGTERM");
    await rm(this.#dir, { recursive: true, force: true });
  }

  #spawn(): Bun.Subprocess {
    const path = `${process.env["PATH"] ?? ""}:/usr/sbin`;
    return Bun.spawn(["mosquitto", "-c", join(this.#dir, "mosquitto.conf")], {
      stdout: "ignore",
      stderr: "ignore",
      env: { ...process.env, PATH: path },
    });
  }

  async #listening(): Promise<void> {
    await until("mosquitto listens", () => canConnect(this.port));
  }
}

async function canConnect(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection({ host: "127.0.0.1", port });
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
  const ok = await promise;
  socket.destroy();
  return ok;
}
