import { dlopen, ptr } from "bun:ffi";
import { isCompiled } from "./thread.ts";

/** The C library by the names it has: GNU, then musl. */
const LIBRARIES = [
  "libc.so.6",
  `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`,
  "libc.so",
];

/** What this process runs: taken at its start, since the file may be replaced meanwhile. */
const PROGRAM = process.execPath;

/**
 * Replaces this process by a fresh one of the same program with the same arguments; its number, its environment and its standard streams
 * stay. Close everything before: nothing of this process goes on. Returns only by throwing. @throws Error when the system refuses
 */
export function startAgain(): never {
  const [script = "", ...rest] = process.argv.slice(1);
  replaceProcess(PROGRAM, isCompiled ? rest : [script, ...rest]);
}

/** execv(3): `args` without the program's own name. */
function replaceProcess(program: string, args: readonly string[]): never {
  const texts = [program, ...args].map((text) => Buffer.from(`${text}\0`));
  const list = new BigUint64Array(texts.length + 1); // Its last place stays 0, the end of the list.
  for (const [index, text] of texts.entries()) {
    list[index] = BigInt(ptr(text));
  }
  const library = openLibrary();
  const [path] = texts;
  const result = path === undefined ? -1 : library.symbols.execv(ptr(path), ptr(list));
  throw new Error(`Cannot start ${program} again: execv returned ${result}`);
}

function openLibrary() {
  let failure: unknown;
  for (const name of LIBRARIES) {
    try {
      return dlopen(name, { execv: { args: ["ptr", "ptr"], returns: "i32" } });
    } catch (error) {
      failure = error;
    }
  }
  throw new Error("Cannot find the C library of this system", { cause: failure });
}
