import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type CommandResult, runCommand } from "#platform/command";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import { writeFileAtomically } from "../config/atomic-file.ts";

/** Where programs of the system are, also where cron or a service manager sets no PATH. */
const DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/** Most output of a command that is read. */
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;
/** A service manager may wait for the end of the gateway, which takes up to 25 s. */
const COMMAND_MS = 120_000;

/** How a service is put on a machine, or into the files of one. */
export interface HostOptions {
  readonly clock: Clock;
  /** "/" is this machine; anything else is a folder with the files of another, where nothing is run. */
  readonly root: string;
  /** Says what would be done. */
  readonly dryRun: boolean;
  readonly say: (line: string) => void;
}

/** The machine that a service is installed on: writes files, runs programs, and says each thing it does. */
export class ServiceHost {
  readonly #options: HostOptions;

  constructor(options: HostOptions) {
    this.#options = options;
  }

  /** Whether this is the machine itself: programs are run. */
  get isLive(): boolean {
    return this.#options.root === "/";
  }

  get root(): string {
    return this.#options.root;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  say(line: string): void {
    this.#options.say(line);
  }

  /** The text of a file; `undefined` when there is none. */
  read(path: string): string | undefined {
    const file = this.#at(path);
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  }

  exists(path: string): boolean {
    return existsSync(this.#at(path));
  }

  /** Writes a file unless it has this text. Its folder is made. */
  write(path: string, text: string, mode: number): void {
    const file = this.#at(path);
    const before = this.read(path);
    if (before === text && (statSync(file).mode & 0o777) === mode) {
      this.say(`unchanged  ${file}`);
      return;
    }
    if (this.#options.dryRun) {
      this.say(`would write ${file}:\n${text.replaceAll(/^/gm, "    ").trimEnd()}`);
      return;
    }
    mkdirSync(dirname(file), { recursive: true });
    const owner = statSync(file, { throwIfNoEntry: false });
    writeFileAtomically(file, text);
    chmodSync(file, mode);
    if (owner !== undefined && (owner.uid !== 0 || owner.gid !== 0) && process.getuid?.() === 0) {
      chownSync(file, owner.uid, owner.gid);
    }
    this.say(`${before === undefined ? "wrote  " : "rewrote"}    ${file}`);
  }

  /** Removes a file if it is there. */
  remove(path: string): void {
    const file = this.#at(path);
    if (lstatSync(file, { throwIfNoEntry: false }) === undefined) {
      return;
    }
    if (this.#options.dryRun) {
      this.say(`would remove ${file}`);
      return;
    }
    rmSync(file);
    this.say(`removed    ${file}`);
  }

  /** Makes a symbolic link unless something of that name is there. */
  link(path: string, target: string): void {
    const file = this.#at(path);
    if (lstatSync(file, { throwIfNoEntry: false }) !== undefined) {
      this.say(`unchanged  ${file}`);
    } else if (this.#options.dryRun) {
      this.say(`would link ${file} to ${target}`);
    } else {
      mkdirSync(dirname(file), { recursive: true });
      symlinkSync(target, file);
      this.say(`linked     ${file} to ${target}`);
    }
  }

  /** Makes a folder for its owner and group, and gives it and what root owns in it to a user. */
  own(path: string, ids: { readonly uid: number; readonly gid: number }): void {
    const folder = this.#at(path);
    if (this.#options.dryRun) {
      this.say(`would give ${folder} to the user of the service`);
      return;
    }
    if (!existsSync(folder)) {
      mkdirSync(folder, { recursive: true, mode: 0o750 });
      chownSync(folder, ids.uid, ids.gid);
      this.say(`made       ${folder}`);
      return;
    }
    const all = readdirSync(folder, { recursive: true, encoding: "utf8" });
    let changed = 0;
    for (const entry of ["", ...all]) {
      const file = join(folder, entry);
      const found = lstatSync(file, { throwIfNoEntry: false });
      if (found?.uid === 0 && ids.uid !== 0) {
        lchownSync(file, ids.uid, ids.gid);
        changed += 1;
      }
    }
    this.say(
      changed === 0 ? `unchanged  ${folder}` : `gave       ${folder} to the user of the service`,
    );
  }

  /** The full path of a program; `undefined` when this machine does not have it. */
  find(name: string): string | undefined {
    return DIRECTORIES.map((directory) => join(directory, name)).find((path) => existsSync(path));
  }

  /** Runs a program to look at something; also with `dryRun`. @throws Error when it cannot be started or takes too long */
  async ask(argv: readonly string[], withinMs = COMMAND_MS): Promise<CommandResult> {
    const [name = "", ...rest] = argv;
    const program = name.startsWith("/") ? name : this.find(name);
    if (program === undefined) {
      throw new Error(`Cannot find the program ${name}`);
    }
    const late = this.clock.deadline(withinMs, new AbortController().signal);
    return await runCommand([program, ...rest], MAX_OUTPUT_BYTES, late);
  }

  /** Runs a program that changes something, and says so. @throws Error with what it said when it fails */
  async run(argv: readonly string[], withinMs = COMMAND_MS): Promise<void> {
    if (!this.isLive || this.#options.dryRun) {
      this.say(`would run  ${argv.join(" ")}`);
      return;
    }
    this.say(`runs       ${argv.join(" ")}`);
    const { exitCode, stdout, stderr } = await this.ask(argv, withinMs);
    if (exitCode !== 0) {
      const said = `${stdout}${stderr}`.trim();
      throw new Error(`"${argv.join(" ")}" failed with exit code ${exitCode}: ${said}`);
    }
  }

  /** As `run`; a failure is said and nothing else. */
  async tryRun(argv: readonly string[]): Promise<void> {
    try {
      await this.run(argv);
    } catch (error) {
      this.say(`           ${errorText(error)}`);
    }
  }

  #at(path: string): string {
    return join(this.#options.root, path);
  }
}
