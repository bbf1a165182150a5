import { DataError, defineDownlink, Float } from "tbgw/sdk";
import * as v from "valibot";

/** Sends a number as two bytes in tenths: 21.5 is `00 d7`. */
export default defineDownlink({
  name: "SkeletonName",
  type: "skeletontype",
  // The part of the connector's file that names this converter.
  schema: v.looseObject({}),
  create:
    () =>
    ({ name, value }) => {
      // A number with a fraction arrives as a Float, which keeps its digits.
      const number = value instanceof Float ? value.value : value;
      const tenths = typeof number === "number" ? Math.round(number * 10) : Number.NaN;
      if (!(tenths >= 0 && tenths <= 0xff_ff)) {
        throw new DataError(`Cannot send "${name}": it must be a number from 0 to 6553.5`);
      }
      const bytes = new Uint8Array(2);
      new DataView(bytes.buffer).setUint16(0, tenths);
      return bytes;
    },
});
