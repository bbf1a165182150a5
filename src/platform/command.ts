/** What became of a command. */
export interface CommandResult {
  /** 128 + n when signal n ended it, as a shell says it. */
  readonly exitCode: number;
  readonly stdout: string;
  /** The first part of it. */
  readonly stderr: string;
}

/** The command wrote more than it may. */
export class OutputTooLongError extends Error {
  override readonly name = "OutputTooLongError";
}

/** Most of the error output that is kept. */
const MAX_STDERR_BYTES = 2048;

/**
 * Runs a program with its arguments, without input, in a process group of its own. When `signal` aborts, or the output is longer than
 * `maxBytes`, the whole group is killed: a shell's children too. Resolves when the program has ended and its output is complete.
 * @throws the reason of `signal`; OutputTooLongError; Error when it cannot be started
 */
export async function runCommand(
  argv: readonly string[],
  maxBytes: number,
  signal: AbortSignal,
): Promise<CommandResult> {
  signal.throwIfAborted();
  // Detached: the leader of a new group, whose id is the pid.
  const child = Bun.spawn([...argv], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    detached: true,
  });
  const end = Promise.withResolvers<never>();
  // Whoever waits below sees it; nobody may be waiting any more.
  end.promise.catch(() => undefined);
  const stop = (reason: unknown): void => {
    killGroup(child.pid);
    end.reject(reason);
  };
  const onAbort = (): void => stop(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const finished = Promise.all([
      read(child.stdout, maxBytes, () =>
        stop(new OutputTooLongError(`The output is longer than ${maxBytes} bytes`)),
      ),
      read(child.stderr, MAX_STDERR_BYTES, undefined),
      child.exited,
    ]);
    const [stdout, stderr, exitCode] = await Promise.race([finished, end.promise]);
    return { exitCode, stdout, stderr };
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // ESRCH: all of it has ended already.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) {
      throw error;
    }
  }
}

/** The text of a stream; what is above `maxBytes` is read and thrown away, and told once. */
async function read(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
  onTooLong: (() => void) | undefined,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const room = maxBytes - bytes;
    if (room > 0) {
      chunks.push(chunk.subarray(0, room));
    }
    if (bytes <= maxBytes && bytes + chunk.length > maxBytes) {
      onTooLong?.();
    }
    bytes += chunk.length;
  }
  return Buffer.concat(chunks).toString("utf8");
}
