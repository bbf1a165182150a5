import { type ChildProcess, spawn } from "node:child_process";
import { homedir } from "node:os";
import { StringDecoder } from "node:string_decoder";
import type { Clock } from "#sdk/clock";

/** Output that waits to be fetched; the command waits while there is more. */
const MAX_WAITING_CHARS = 256 * 1024;
/** How long a command has to end after it was asked to. */
const KILL_AFTER_MS = 2000;
/** A command has ended, but something it started holds its output open: it is not waited for. */
const LINGER_MS = 100;

/** What a command gets of the environment: nothing of the gateway's own, which may hold its secrets. */
const ENVIRONMENT = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
  TERM: "dumb",
};

/**
 * One command in a shell, in a process group of its own, with its errors in its output. Each character of the output is given
 * out once; a command that writes faster than it is read waits.
 */
export class ShellProcess {
  readonly #clock: Clock;
  readonly #child: ChildProcess;
  readonly #decoder = new StringDecoder("utf8");
  readonly #ended = Promise.withResolvers<void>();
  readonly #waiters = new Set<() => void>();
  #output = "";
  #isOver = false;
  #hasExited = false;
  /** Nobody is left who could write to it: the group is empty, and its number may soon be another one's. */
  #isClosed = false;

  constructor(command: string, cwd: string, clock: Clock) {
    this.#clock = clock;
    // `detached` makes it the leader of a group, so that all it starts can be ended with it.
    this.#child = spawn("/bin/sh", ["-c", `exec 2>&1\n${command}`], {
      cwd,
      detached: true,
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...ENVIRONMENT, HOME: homedir(), PWD: cwd },
    });
    this.#child.stdout?.on("data", (chunk: Buffer) => this.#add(this.#decoder.write(chunk)));
    this.#child.on("error", (error) => {
      this.#add(`${error.message}\n`);
      this.#end();
    });
    this.#child.on("exit", () => this.#exited());
    this.#child.on("close", () => {
      this.#isClosed = true;
      this.#end();
    });
  }

  /** The command has ended and all of its output has been taken. */
  get isDone(): boolean {
    return this.#isOver && this.#output === "";
  }

  /** Whether it still runs. */
  get isRunning(): boolean {
    return !this.#hasExited && !this.#isOver;
  }

  /** Resolves when there is output or the command has ended, at the latest after `durationMs`. */
  async news(durationMs: number): Promise<void> {
    if (this.#output !== "" || this.#isOver) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.add(resolve);
    using _timer = this.#clock.timer(durationMs, resolve);
    try {
      await promise;
    } finally {
      this.#waiters.delete(resolve);
    }
  }

  /** Takes output of at most `maxBytes` as JSON text. */
  take(maxBytes: number): string {
    let length = this.#output.length;
    while (
      length > 1 &&
      Buffer.byteLength(JSON.stringify(this.#output.slice(0, length))) > maxBytes
    ) {
      length = Math.floor(length / 2);
    }
    if (/[\uD800-\uDBFF]/.test(this.#output.charAt(length - 1)) && length > 1) {
      length -= 1; // The other half of the pair belongs to it.
    }
    const taken = this.#output.slice(0, length);
    this.#output = this.#output.slice(length);
    if (this.#output.length < MAX_WAITING_CHARS) {
      this.#child.stdout?.resume();
    }
    return taken;
  }

  /** Ends the command and all it has started; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#signal("SIGTERM");
    this.#child.stdout?.resume();
    using _timer = this.#clock.timer(KILL_AFTER_MS, () => this.#signal("SIGKILL"));
    await this.#ended.promise;
    // What ignored the first signal has lost the shell that held it.
    this.#signal("SIGKILL");
  }

  #add(text: string): void {
    this.#output += text;
    if (this.#output.length >= MAX_WAITING_CHARS) {
      this.#child.stdout?.pause();
    }
    this.#wake();
  }

  #exited(): void {
    this.#hasExited = true;
    this.#clock.timer(LINGER_MS, () => this.#end());
  }

  #end(): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#output += this.#decoder.end();
      this.#ended.resolve();
      this.#wake();
    }
  }

  #wake(): void {
    for (const waiter of this.#waiters) {
      waiter();
    }
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined || this.#isClosed) {
      return;
    }
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // Nobody is left in the group: that is what was asked for.
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) {
        throw error;
      }
    }
  }
}
