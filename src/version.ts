import manifest from "../package.json" with { type: "json" };

/** Put in by the build. */
declare const TBGW_BUILD_MS: number | undefined;

/** Version of the program, from package.json. */
export const VERSION: string = manifest.version;

/** Epoch milliseconds of the day of the build: a clock that says less is not set. For the sources, of their version. */
export const BUILD_MS: number =
  typeof TBGW_BUILD_MS === "number" ? TBGW_BUILD_MS : Date.UTC(2026, 0, 1);
