import {
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

/** A file whose next content is on the disk already, under another name. */
export interface StagedFile {
  readonly file: string;
  /** Puts the content in place, in one step; the second time does nothing. @throws Error when the disk refuses */
  commit(): void;
  /** Forgets the content; does nothing after `commit`. */
  discard(): void;
}

/**
 * Writes the next content of a file beside it, readable by the owner alone, and syncs it: what can fail fails here, before anything
 * has changed. A symbolic link keeps pointing where it does. @throws Error when the folder cannot be written
 */
export function stageFile(file: string, text: string | Uint8Array): StagedFile {
  const target = realPath(file);
  const temporary = `${target}.${process.pid}.new`;
  rmSync(temporary, { force: true });
  try {
    const handle = openSync(temporary, "wx", 0o600);
    try {
      writeFileSync(handle, text);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  let isDone = false;
  return {
    file,
    commit: () => {
      if (!isDone) {
        renameSync(temporary, target);
        isDone = true;
        syncFolder(dirname(target));
      }
    },
    discard: () => rmSync(temporary, { force: true }),
  };
}

/** Replaces a file in one step: a reader, and a power cut, find the old or the new content, never a part. @throws Error when the disk refuses */
export function writeFileAtomically(file: string, text: string): void {
  stageFile(file, text).commit();
}

function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file; // There is none yet.
  }
}

/** Without it a power cut may forget the rename. */
function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
