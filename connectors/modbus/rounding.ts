/** Beyond this many decimals a double has no more digits to round. */
const MAX_DECIMALS = 22;
/** Below this a scaled value still has enough bits to tell on which side of a half it is. */
const MAX_FAST = 2 ** 46;

/**
 * Rounds to `decimals` decimal places as Python does: half to even by the exact binary value, so that 0.0078125 with 6 gives
 * 0.007812. Negative `decimals` round to tens, hundreds, …. NaN and infinities stay.
 */
export function roundHalfEven(value: number, decimals: number): number {
  if (!Number.isFinite(value) || decimals > MAX_DECIMALS) {
    return value;
  }
  if (decimals < 0) {
    return roundWhole(value, 10n ** BigInt(Math.min(400, -decimals)));
  }
  const factor = 10 ** decimals;
  const scaled = value * factor;
  const whole = Math.round(scaled);
  // The product is off by at most half a unit in the last place; away from a half that cannot change the result.
  if (Math.abs(scaled) < MAX_FAST && Math.abs(Math.abs(scaled - whole) - 0.5) > 2 ** -6) {
    return whole / factor;
  }
  return roundExactly(value, decimals);
}

/** `toFixed` is exact but rounds halves up; a half is where value × 2^(decimals + 1) is an odd whole number. */
function roundExactly(value: number, decimals: number): number {
  const doubled = Math.abs(value) * 2 ** (decimals + 1);
  if (!Number.isInteger(doubled) || doubled % 2 === 0 || !Number.isSafeInteger(doubled)) {
    // From 1e21 on `toFixed` writes an exponent, and there are no decimals to round.
    return Math.abs(value) >= 1e21 ? value : Number(value.toFixed(decimals));
  }
  const half = BigInt(doubled) * 5n ** BigInt(decimals);
  const below = half / 2n;
  const digits = String(below % 2n === 0n ? below : below + 1n).padStart(decimals + 1, "0");
  const split = digits.length - decimals;
  return Math.sign(value) * Number(`${digits.slice(0, split)}.${digits.slice(split)}`);
}

function roundWhole(value: number, unit: bigint): number {
  const size = Math.abs(value);
  const whole = BigInt(Math.trunc(size));
  const rest = whole % unit;
  const lower = whole - rest;
  const isHalf = rest * 2n === unit;
  const isAbove =
    rest * 2n > unit || (isHalf && (size > Number(whole) || (lower / unit) % 2n === 1n));
  return Math.sign(value) * Number(isAbove ? lower + unit : lower);
}
