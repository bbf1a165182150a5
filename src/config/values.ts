import * as v from "valibot";

/** A TCP port. */
export const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));

/** A whole number of at least `min`, up to what a file can hold exactly. */
export function whole(min: number) {
  return v.pipe(
    v.number(),
    v.integer(),
    v.minValue(min),
    v.maxValue(Number.MAX_SAFE_INTEGER, "is larger than a file can hold exactly"),
  );
}

/** A number of at least `min`. */
export function atLeast(min: number) {
  return v.pipe(v.number(), v.minValue(min));
}

/** One of `options`, which are in capitals, in any case. */
export function anyCase<const Options extends readonly Uppercase<string>[]>(options: Options) {
  return v.pipe(v.string(), v.toUpperCase(), v.picklist(options));
}
