/** What is used of the OPC UA server, on the same stack as the client of the connector. */
export type Library = typeof import("./library-entry.ts");

/** Loads the server: only the demo needs it. `scripts/packed-libraries.ts` puts packed files in the place of this import. */
export async function loadLibrary(): Promise<Library> {
  return await import("./library-entry.ts");
}
