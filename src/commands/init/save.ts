import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { type StagedFile, stageFile } from "../../config/atomic-file.ts";
import type { DraftFile } from "./draft.ts";

/** A file with secrets is for its owner alone, another one for everybody of the machine. */
const SECRET_MODE = 0o600;
const OPEN_MODE = 0o644;

/** A folder of configuration that is larger than this is no folder of configuration. */
const MAX_FOLDER_FILES = 2000;

/**
 * What the configuration directory would look like, in a temporary folder that only its owner can read; `[Symbol.dispose]` removes it.
 * Files that are there already are in it too, so that names of certificates and the like lead somewhere.
 */
export function rehearse(
  configDir: string,
  files: readonly DraftFile[],
): Disposable & { readonly dir: string } {
  const dir = mkdtempSync(join(tmpdir(), "tbgw-init-"));
  const dispose = (): void => rmSync(dir, { recursive: true, force: true });
  try {
    copyFolder(configDir, dir);
    for (const { name, content } of files) {
      makeParent(join(dir, name));
      writeFileSync(join(dir, name), content, { mode: SECRET_MODE });
    }
  } catch (error) {
    dispose();
    throw error;
  }
  return { dir, [Symbol.dispose]: dispose };
}

/** Imported files may be in folders of their own. */
function makeParent(file: string): void {
  mkdirSync(dirname(file), { recursive: true });
}

function copyFolder(from: string, to: string): void {
  if (!existsSync(from)) {
    return;
  }
  let left = MAX_FOLDER_FILES;
  cpSync(from, to, {
    recursive: true,
    dereference: true,
    filter: (source) => {
      const stats = statSync(source, { throwIfNoEntry: false });
      left -= 1;
      // Extensions are found where they are.
      const isWanted = basename(source) !== "extensions" && left > 0;
      return isWanted && (stats?.isDirectory() === true || stats?.isFile() === true);
    },
  });
}

/** What became of one file. */
export interface SavedFile {
  readonly file: string;
  /** The copy of what it was before. */
  readonly backup: string | undefined;
}

/** What is saved where. */
export interface Saving {
  readonly configDir: string;
  readonly files: readonly DraftFile[];
  /** Names of the files that hold secrets. */
  readonly secret: ReadonlySet<string>;
}

/**
 * Writes all files or none: what can fail fails before the first one changes, and if one cannot be put in place the ones before it are
 * put back. A file that was there stays as `.bak`. A directory that is not there appears with all its files at once. @throws Error
 */
export function save(saving: Saving): readonly SavedFile[] {
  return existsSync(saving.configDir) ? replaceFiles(saving) : createFolder(saving);
}

function createFolder({ configDir, files, secret }: Saving): readonly SavedFile[] {
  const parent = dirname(configDir);
  mkdirSync(parent, { recursive: true });
  const staging = mkdtempSync(join(parent, `.${basename(configDir)}-`));
  try {
    chmodSync(staging, 0o755);
    for (const one of files) {
      makeParent(join(staging, one.name));
      stageFile(join(staging, one.name), one.content).commit();
      chmodSync(join(staging, one.name), modeOf(one, secret));
    }
    renameSync(staging, configDir);
  } catch (error) {
    rmSync(staging, { recursive: true, force: true });
    throw error;
  }
  return files.map(({ name }) => ({ file: join(configDir, name), backup: undefined }));
}

function replaceFiles({ configDir, files, secret }: Saving): readonly SavedFile[] {
  accessSync(configDir, constants.W_OK | constants.X_OK);
  const changed = files.filter((one) => !isSame(join(configDir, one.name), one.content));
  const staged: StagedFile[] = [];
  const saved: SavedFile[] = [];
  try {
    for (const { name, content } of changed) {
      makeParent(join(configDir, name));
      staged.push(stageFile(join(configDir, name), content));
    }
    for (const [index, one] of changed.entries()) {
      const file = join(configDir, one.name);
      const backup = existsSync(file) ? backUp(file) : undefined;
      // Before it is in place it can be undone; afterwards it must be.
      saved.push({ file, backup });
      staged[index]?.commit();
      chmodSync(file, modeOf(one, secret));
      giveToOwner(file, backup ?? configDir);
    }
  } catch (error) {
    for (const one of staged) {
      one.discard();
    }
    putBack(saved);
    throw error;
  }
  return saved;
}

/** What root writes for a service belongs to the user of the service, as what it replaces, or as the folder. */
function giveToOwner(file: string, like: string): void {
  const { uid, gid } = statSync(like);
  if (process.getuid?.() === 0 && uid !== 0) {
    chownSync(file, uid, gid);
  }
}

function putBack(saved: readonly SavedFile[]): void {
  for (const { file, backup } of saved) {
    if (backup === undefined) {
      rmSync(file, { force: true });
    } else {
      renameSync(backup, file);
    }
  }
}

/** An earlier `.bak` is somebody's file. */
function backUp(file: string): string {
  let name = `${file}.bak`;
  for (let index = 2; existsSync(name); index += 1) {
    name = `${file}.${index}.bak`;
  }
  copyFileSync(file, name, constants.COPYFILE_EXCL);
  chmodSync(name, SECRET_MODE);
  giveToOwner(name, file);
  return name;
}

function isSame(file: string, content: string | Uint8Array): boolean {
  return existsSync(file) && readFileSync(file).equals(Buffer.from(content));
}

function modeOf({ name }: DraftFile, secret: ReadonlySet<string>): number {
  return secret.has(name) ? SECRET_MODE : OPEN_MODE;
}
