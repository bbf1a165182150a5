/** A stream of numbers in [0, 1) that depends on its seed alone. */
export type Random = () => number;

/** The seed of this run: `TBGW_SEED` to replay one, otherwise a fresh one. A whole number below 2^32. */
export function chooseSeed(): number {
  const given = process.env["TBGW_SEED"];
  if (given !== undefined && given !== "") {
    return Number(given) >>> 0;
  }
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/** Mulberry32: small, and good enough to choose moments. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
