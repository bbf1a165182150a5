/** How many times the usual examples a property gets; `scripts/fuzz.ts` sets it. */
const factor = Number(process.env["TBGW_FUZZ"] ?? 1);

/** The examples of a property that is given `count` of them in a normal run. */
export function runs(count: number): number {
  return count * factor;
}
