import { writeFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";

const SOURCE = join(import.meta.dir, "disk-shim.c");

/** Whether this machine can compile it. */
export const hasCompiler = Bun.which("gcc") !== null;

/** How the disk of one process behaves. */
export interface DiskState {
  /** Writes to the event store fail with this. */
  readonly refuses?: "EROFS" | "ENOSPC" | "EIO";
  /** Each sync takes this much longer, in steps of 10 ms up to 2,550. */
  readonly syncDelayMs?: number;
}

/** A disk that a test makes slow or refusing while a process runs. Owns its files. */
export class DiskShim implements AsyncDisposable {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Compiles the library. @throws Error when the compiler refuses */
  static async build(): Promise<DiskShim> {
    const dir = await mkdtemp(join(tmpdir(), "tbgw-shim-"));
    const built = Bun.spawnSync(
      ["gcc", "-shared", "-fPIC", "-O1", "-o", join(dir, "shim.so"), SOURCE, "-ldl"],
      { stderr: "pipe" },
    );
    if (built.exitCode !== 0) {
      throw new Error(`Cannot compile the disk shim: ${built.stderr.toString()}`);
    }
    await writeFile(join(dir, "control"), new Uint8Array(2));
    return new DiskShim(dir);
  }

  /** What the environment of the process must hold. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: join(this.#dir, "shim.so"),
      TBGW_DISK_SHIM: join(this.#dir, "control"),
    };
  }

  /** Changes the disk from the next call of the process on. */
  set({ refuses, syncDelayMs = 0 }: DiskState): void {
    const code = refuses === undefined ? 0 : constants.errno[refuses];
    // In place: the process has the file mapped.
    writeFileSync(join(this.#dir, "control"), Uint8Array.of(code, syncDelayMs / 10), {
      flag: "r+",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true });
  }
}
