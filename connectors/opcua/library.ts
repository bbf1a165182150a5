/** The OPC UA stack. Types come from the packages directly; values only through `loadLibrary`, so that it is loaded when a connector needs it. */
export type Library = typeof import("./library-entry.ts");

/**
 * Loads the OPC UA stack: about 100 ms and 50 MB of memory, so only a gateway with an OPC UA connector does it. `scripts/packed-libraries.ts` puts a packed file of its own in
 * the place of this import: as part of the program's bytecode it would add 11 MB to the executable instead of 3 MB.
 */
export async function loadLibrary(): Promise<Library> {
  return await import("./library-entry.ts");
}
