import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import type { LogFields } from "#sdk/logger";
import type { LogBudget, LogFamily } from "./log-budget.ts";
import { nextRollover, type Rotation, rotatedSuffix } from "./rotation.ts";

/** What waits for the disk at most; more is dropped and counted. */
const MAX_PENDING_BYTES = 1024 * 1024;
/** So much is written at once. */
const FLUSH_BYTES = 64 * 1024;
/** How long a line waits for others, unless it is urgent. */
const FLUSH_AFTER_MS = 250;
/** When a disk that refused is tried again. */
const RETRY_MS = 5000;
/** When a file that could not be opened is tried again. */
const REOPEN_MS = 60_000;
/** How often it is looked whether the file is still the one of that name. */
const LOOK_MS = 60_000;
/** Nobody but the owner and the group reads logs. */
const FILE_MODE = 0o640;
const FOLDER_MODE = 0o750;

/** What a file needs of its surroundings. */
export interface LogFileOptions {
  /** Absolute. */
  readonly path: string;
  readonly rotation: Rotation;
  readonly clock: Clock;
  readonly budget: LogBudget;
  /** Gets the lines while the file cannot be opened. */
  readonly elsewhere: (text: string) => void;
  /** Says what is wrong with the file, or that it is well again; must not write to the file. */
  readonly report: (level: "warn" | "info", message: string, fields: LogFields) => void;
}

interface Line {
  readonly text: string;
  /** Whether the line is on standard output anyway. */
  readonly shown: boolean;
}

/**
 * One log file: buffered, written by one loop, put aside by time and size. A disk that refuses costs lines, which are
 * counted, and never an error; the file says afterwards how many are missing.
 */
export class LogFile implements LogFamily, AsyncDisposable {
  readonly #options: LogFileOptions;
  readonly #counted: Disposable;
  #lines: Line[] = [];
  #pendingBytes = 0;
  /** What the disk has not taken of the chunk that is being written. */
  #rest: Buffer | undefined;
  #restLines = 0;
  #handle: FileHandle | undefined;
  #inode = 0;
  #lookedAtMs = 0;
  #sizeBytes = 0;
  /** When the file was begun, and when it is due. */
  #sinceMs = 0;
  #rolloverMs = 0;
  #timer: Disposable | undefined;
  #writing: Promise<void> | undefined;
  /** Why the disk does not take lines, or the file cannot be opened (`shut`). */
  #trouble: string | undefined;
  #shut = false;
  #retryAtMs = 0;
  #dropped = 0;
  #unsaid = 0;
  #closed = false;

  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#counted = options.budget.add(this);
  }

  get path(): string {
    return this.#options.path;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Lines that are not in the file and never will be. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Adds a line. `urgent`: does not wait for others. `shown`: it is on standard output too. Never waits, never throws. */
  write(text: string, options: { readonly urgent: boolean; readonly shown: boolean }): void {
    const line = `${text}\n`;
    const restMs = this.#retryAtMs - this.#options.clock.monotonicMs();
    if (this.#shut && restMs > 0) {
      this.#show([{ text: line, shown: options.shown }]);
      return;
    }
    if (this.#closed || this.#pendingBytes + line.length > MAX_PENDING_BYTES) {
      this.#lose(1);
      return;
    }
    this.#lines.push({ text: line, shown: options.shown });
    this.#pendingBytes += line.length;
    if (this.#trouble !== undefined && restMs > 0) {
      this.#wake(restMs);
    } else if (options.urgent || this.#pendingBytes >= FLUSH_BYTES) {
      this.#kick();
    } else {
      this.#wake(FLUSH_AFTER_MS);
    }
  }

  /** Resolves when all that was added has been written, or cannot be. */
  async flush(): Promise<void> {
    this.#kick();
    await this.#writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
    this.#closed = true;
    this.#lose(this.#lines.length + (this.#rest === undefined ? 0 : this.#restLines));
    this.#lines = [];
    this.#rest = undefined;
    this.#timer?.[Symbol.dispose]();
    this.#counted[Symbol.dispose]();
    await this.#close();
  }

  #wake(delayMs: number): void {
    this.#timer ??= this.#options.clock.timer(delayMs, () => {
      this.#timer = undefined;
      this.#kick();
    });
  }

  #kick(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Writes until nothing waits or the disk refuses. Never throws. */
  async #drain(): Promise<void> {
    while (this.#lines.length > 0 || this.#rest !== undefined) {
      try {
        await this.#writeSome();
      } catch (error) {
        this.#failed(error);
        return;
      }
    }
  }

  async #writeSome(): Promise<void> {
    await this.#ready();
    this.#rest ??= this.#nextChunk();
    const { bytesWritten = 0 } = (await this.#handle?.write(this.#rest)) ?? {};
    this.#sizeBytes += bytesWritten;
    // A full disk may take a part: the rest must not be written twice.
    this.#rest = bytesWritten < this.#rest.length ? this.#rest.subarray(bytesWritten) : undefined;
    this.#wellAgain();
  }

  /** As many lines as fit into the file; at least one. */
  #nextChunk(): Buffer {
    const room = this.#maxBytes - this.#sizeBytes;
    let text = "";
    let count = 0;
    for (const line of this.#lines) {
      if (count > 0 && (text.length + line.text.length > room || text.length >= FLUSH_BYTES)) {
        break;
      }
      text += line.text;
      count += 1;
    }
    this.#lines.splice(0, count);
    this.#restLines = count;
    this.#pendingBytes -= text.length;
    return Buffer.from(text);
  }

  get #maxBytes(): number {
    const { rotation, budget } = this.#options;
    return rotation.maxBytes > 0 ? Math.min(rotation.maxBytes, budget.fileBytes) : budget.fileBytes;
  }

  /** Opens the file, or puts it aside first where that is due. */
  async #ready(): Promise<void> {
    const { clock } = this.#options;
    if (this.#handle !== undefined && clock.monotonicMs() - this.#lookedAtMs >= LOOK_MS) {
      this.#lookedAtMs = clock.monotonicMs();
      if (statSync(this.path, { throwIfNoEntry: false })?.ino !== this.#inode) {
        await this.#close(); // Moved or removed by somebody: what follows belongs to a file of this name.
      }
    }
    if (this.#handle === undefined) {
      await this.#open();
    }
    if (this.#rest === undefined && this.#isDue()) {
      await this.#putAside();
    }
  }

  #isDue(): boolean {
    const [next] = this.#lines;
    const { clock, rotation } = this.#options;
    const nowMs = clock.now();
    // Set back: a later beginning than this moment cannot be right.
    if (nextRollover(rotation, nowMs) < this.#rolloverMs) {
      this.#begin(nowMs);
    }
    if (nowMs >= this.#rolloverMs && this.#sizeBytes === 0) {
      this.#begin(nowMs);
    }
    const isFull =
      this.#sizeBytes > 0 && this.#sizeBytes + (next?.text.length ?? 0) > this.#maxBytes;
    return isFull || nowMs >= this.#rolloverMs;
  }

  #begin(sinceMs: number): void {
    this.#sinceMs = sinceMs;
    this.#rolloverMs = nextRollover(this.#options.rotation, sinceMs);
  }

  async #open(): Promise<void> {
    const { path, clock } = this.#options;
    const folder = dirname(path);
    // What lies above may be the data directory, which is for its owner alone.
    mkdirSync(dirname(folder), { recursive: true, mode: 0o700 });
    mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
    const before = statSync(path, { throwIfNoEntry: false });
    this.#handle = await open(path, "a", FILE_MODE);
    const { ino, size } = await this.#handle.stat();
    this.#inode = ino;
    this.#lookedAtMs = clock.monotonicMs();
    this.#sizeBytes = size;
    // A file of an earlier start is due by its last line.
    this.#begin(
      before === undefined || size === 0 ? clock.now() : Math.min(before.mtimeMs, clock.now()),
    );
    this.#shut = false;
  }

  async #putAside(): Promise<void> {
    const { path, clock, rotation, budget } = this.#options;
    const nowMs = clock.now();
    await this.#close();
    const isByTime = nowMs >= this.#rolloverMs;
    const base = `${path}.${rotatedSuffix(rotation, isByTime ? this.#sinceMs : nowMs)}`;
    let target = base;
    for (let count = 1; existsSync(target); count += 1) {
      target = `${base}.${count}`;
    }
    renameSync(path, target);
    await this.#open();
    budget.trim(this, rotation.backupCount);
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    // What could be written has been: an error of the close says nothing more.
    await handle?.close().catch(() => undefined);
  }

  #failed(error: unknown): void {
    const { clock, report, path } = this.#options;
    const isOpen = this.#handle !== undefined;
    this.#retryAtMs = clock.monotonicMs() + (isOpen ? RETRY_MS : REOPEN_MS);
    if (this.#trouble === undefined) {
      this.#trouble = errorText(error);
      report("warn", isOpen ? "Cannot write a log file" : "Cannot open a log file", {
        file: path,
        error: this.#trouble,
        instead: isOpen ? "its lines wait, then they are dropped" : "its lines are shown here",
      });
    }
    if (isOpen) {
      this.#wake(RETRY_MS);
      return;
    }
    const lines = this.#lines;
    this.#shut = true;
    this.#lines = [];
    this.#pendingBytes = 0;
    this.#rest = undefined;
    this.#show(lines);
  }

  /** Standard output has to do, for the lines that are not there anyway. */
  #show(lines: readonly Line[]): void {
    for (const { text, shown } of lines) {
      if (!shown) {
        this.#options.elsewhere(text);
      }
    }
  }

  /** Notes in the file itself what it lacks. */
  #wellAgain(): void {
    const lost = this.#unsaid;
    this.#unsaid = 0;
    if (lost > 0) {
      const text = `--- ${lost} lines are missing here: ${this.#trouble ?? "they came faster than the disk took them"}\n`;
      this.#lines.unshift({ text, shown: true });
      this.#pendingBytes += text.length;
    }
    if (this.#trouble !== undefined) {
      this.#trouble = undefined;
      this.#options.report("info", "A log file can be written again", {
        file: this.path,
        dropped: lost,
      });
    }
  }

  #lose(lines: number): void {
    this.#dropped += lines;
    this.#unsaid += lines;
  }
}
