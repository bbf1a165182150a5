import { existsSync } from "node:fs";
import type { AuthorCode, AuthorTask } from "../../extension/author-port.ts";
import { runAuthorTask } from "../../extension/author-runner.ts";
import { systemClock } from "../../sdk/clock.ts";
import { StopSignal } from "../../service/signals.ts";
import { UsageError } from "../flags.ts";

/** Runs a task in a thread: results go to standard output, problems to standard error. @throws UsageError for a file that is not there */
export async function runTask(task: AuthorTask): Promise<AuthorCode> {
  const files = "config" in task ? [task.file, task.config] : [task.file];
  for (const file of "input" in task ? [...files, task.input] : files) {
    if (file !== undefined && !existsSync(file)) {
      throw new UsageError(`There is no file ${file}`);
    }
  }
  using stop = new StopSignal();
  return await runAuthorTask(task, {
    clock: systemClock,
    signal: stop.signal,
    out: (text) => void process.stdout.write(`${text}\n`),
    problem: (text) => void process.stderr.write(`${text}\n`),
  });
}
