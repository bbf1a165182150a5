import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const REQUIREMENTS = join(import.meta.dir, "requirements.txt");

let ready: Promise<string> | undefined;

/**
 * The interpreter of a virtual environment with the Python peers of the tests, made once in a cache folder of this machine. A change of
 * the requirements makes another one. @throws Error when Python or a package is missing: a test that needs them has failed then
 */
export async function pythonPeers(): Promise<string> {
  ready ??= prepare();
  return await ready;
}

async function prepare(): Promise<string> {
  const hash = createHash("sha256").update(readFileSync(REQUIREMENTS)).digest("hex").slice(0, 12);
  const dir = join(tmpdir(), `tbgw-python-peers-${hash}`);
  const python = join(dir, "bin", "python");
  if (existsSync(python)) {
    return python;
  }
  // Made under another name: a folder of the right name is complete.
  const draft = `${dir}.${process.pid}`;
  await call(["python3", "-m", "venv", "--copies", draft]);
  const pip = [join(draft, "bin", "python"), "-m", "pip", "install", "--quiet"];
  await call([...pip, "--disable-pip-version-check", "-r", REQUIREMENTS]);
  try {
    renameSync(draft, dir);
  } catch (error) {
    // Another test run was faster.
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(python)) {
      throw error;
    }
  }
  return python;
}

async function call(command: readonly string[]): Promise<void> {
  const child = Bun.spawn([...command], { stdout: "ignore", stderr: "pipe" });
  const text = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) {
    throw new Error(`${command.join(" ")} failed: ${text.slice(-2000)}`);
  }
}

/** A process of the tests that says `ready` on its standard output. Disposing kills it. */
export class ReadyProcess implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "inherit">;

  private constructor(child: Bun.Subprocess<"ignore", "pipe", "inherit">) {
    this.#child = child;
  }

  /** Starts a Python script of this folder and waits until it is ready. */
  static async python(script: string, ...args: readonly string[]): Promise<ReadyProcess> {
    return await ReadyProcess.start([await pythonPeers(), join(import.meta.dir, script), ...args]);
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
