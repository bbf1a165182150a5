/** What is used of the broker of the demo's devices. */
export type Library = typeof import("./library-entry.ts");

/** Loads the broker: only the demo needs it. `scripts/packed-libraries.ts` puts a packed file of its own in the place of this import. */
export async function loadLibrary(): Promise<Library> {
  return await import("./library-entry.ts");
}
