/** What is used of noble. */
export type Library = typeof import("./library-entry.ts");

/**
 * Loads noble when the first adapter is opened: a gateway without a BLE connector needs nothing of it. `scripts/packed-libraries.ts` puts a packed
 * file of its own in the place of this import.
 */
export async function loadLibrary(): Promise<Library> {
  return await import("./library-entry.ts");
}
