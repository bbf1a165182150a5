import { brotliDecompressSync } from "node:zlib";

/** A script inside the executable: what it is imported by, and the file of its packed text. */
export interface PackedScript {
  readonly name: string;
  readonly path: string;
}

/** Names of scripts that can be imported: several libraries may share one. */
const known = new Set<string>();

/**
 * Loads a library that `scripts/packed-libraries.ts` has packed: the first of `scripts`; the others are what it imports. Each is unpacked and run
 * once in the life of the process, when it is first asked for.
 */
export async function loadPackedLibrary(scripts: readonly PackedScript[]): Promise<unknown> {
  for (const { name, path } of scripts) {
    if (!known.has(name)) {
      known.add(name);
      const contents = brotliDecompressSync(await Bun.file(path).bytes()).toString();
      Bun.plugin({
        name,
        setup: (builder) => void builder.module(name, () => ({ contents, loader: "js" })),
      });
    }
  }
  return await import(scripts[0]?.name ?? "");
}
