import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { type EpochMs, epochMs } from "#sdk/model";
import { writeFileAtomically } from "./atomic-file.ts";

/** Who made a change: a person on this machine, or the platform. */
export type RevisionSource = "local" | "remote";

/** One kept content of a file. */
export interface Revision {
  /** The file's name, relative to the configuration directory. */
  readonly name: string;
  /** When it was kept, in epoch milliseconds; names the revision. */
  readonly time: EpochMs;
  readonly source: RevisionSource;
  /** Absolute path of the kept content. */
  readonly path: string;
}

/** Most revisions of one file. */
const MAX_REVISIONS = 10;

const REVISION_NAME = /^(\d{13,16})\.(local|remote)$/;

/** The last contents of each configuration file, in `backup/` of the data directory; 10 of each, only when they differ. */
export class Revisions {
  readonly #folder: string;
  readonly #configDir: string;

  constructor(dataDir: string, configDir: string) {
    this.#folder = join(dataDir, "backup");
    this.#configDir = configDir;
  }

  /** The name under which a file's revisions are kept. */
  nameOf(file: string): string {
    const name = relative(this.#configDir, file);
    return name === "" ? basename(file) : name;
  }

  /** Keeps a content; the same one as the newest is not kept again. Returns whether it was. @throws Error when the disk refuses */
  keep(
    file: string,
    text: string,
    made: { readonly source: RevisionSource; readonly time: EpochMs },
  ): boolean {
    const name = this.nameOf(file);
    const kept = this.list(name);
    const [newest] = kept;
    if (newest !== undefined && this.read(newest) === text) {
      return false;
    }
    const folder = this.#folderOf(name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // Two changes within a millisecond, or a clock that was set back, must not hide each other.
    const time = Math.max(made.time, (newest?.time ?? 0) + 1);
    writeFileAtomically(join(folder, `${String(time).padStart(13, "0")}.${made.source}`), text);
    for (const old of this.list(name).slice(MAX_REVISIONS)) {
      rmSync(old.path, { force: true });
    }
    return true;
  }

  /** The revisions of one file, or of all, the newest first. */
  list(name?: string): readonly Revision[] {
    const names = name === undefined ? this.names() : [name];
    return names
      .flatMap((one) => this.#revisionsOf(one))
      .toSorted((left, right) => right.time - left.time);
  }

  /** The files of which there are revisions. */
  names(): readonly string[] {
    return entriesOf(this.#folder)
      .map((entry) => decodeURIComponent(entry))
      .toSorted();
  }

  /** The content of a revision. @throws Error when it cannot be read */
  read(revision: Revision): string {
    return readFileSync(revision.path, "utf8");
  }

  #revisionsOf(name: string): readonly Revision[] {
    const folder = this.#folderOf(name);
    return entriesOf(folder).flatMap((entry): Revision[] => {
      const match = REVISION_NAME.exec(entry);
      if (match === null) {
        return [];
      }
      const source = match[2] === "remote" ? "remote" : "local";
      return [{ name, time: epochMs(Number(match[1])), source, path: join(folder, entry) }];
    });
  }

  /** One folder a file, so that `mqtt.json` and `mqtt2.json` never share their ten. */
  #folderOf(name: string): string {
    return join(this.#folder, encodeURIComponent(name));
  }
}

function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // Nothing was kept yet.
  }
}
