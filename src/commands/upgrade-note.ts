import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { readBoot } from "#platform/boot";
import { type ProgramFiles, syncPath } from "./upgrade-files.ts";

/**
 * The note beside a program that was put in place and that nobody has found well yet: which process tries it, since which start of the machine.
 * It stays behind when that process is cut short; the services look for it before they start the program.
 */
interface UpgradeNote {
  readonly pid: number;
  readonly bootId: string;
}

/** Writes the note, on the disk before it returns. */
export function writeNote({ pending }: ProgramFiles): void {
  const note: UpgradeNote = { pid: process.pid, bootId: readBoot().id };
  writeFileSync(pending, `${JSON.stringify(note)}\n`, { mode: 0o644 });
  syncPath(pending);
  syncPath(dirname(pending));
}

/** The program in place is the right one, whichever it is. */
export function removeNote({ pending }: ProgramFiles): void {
  rmSync(pending, { force: true });
  syncPath(dirname(pending));
}

/** What became of the upgrade that wrote the note: there is none, it is going on, or nobody is there to end it. */
export function upgradeState({ pending }: ProgramFiles): "none" | "running" | "abandoned" {
  if (!existsSync(pending)) {
    return "none";
  }
  const note = readNote(pending);
  return note !== undefined && note.bootId === readBoot().id && isUpgrade(note.pid)
    ? "running"
    : "abandoned";
}

/** `undefined` for half a note. */
function readNote(file: string): UpgradeNote | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    const fields = new Map<string, unknown>(Object.entries(value ?? {}));
    const [pid, bootId] = [fields.get("pid"), fields.get("bootId")];
    return typeof pid === "number" && typeof bootId === "string" ? { pid, bootId } : undefined;
  } catch (error) {
    if (error instanceof Error) {
      return undefined;
    }
    throw error;
  }
}

/** A number may have gone to another process since. */
function isUpgrade(pid: number): boolean {
  const file = `/proc/${pid}/cmdline`;
  return (
    pid !== process.pid && existsSync(file) && readFileSync(file, "utf8").includes("\0upgrade\0")
  );
}
