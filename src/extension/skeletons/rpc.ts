import { defineRpc } from "tbgw/sdk";
import * as v from "valibot";

/** The gateway answers the call `gateway_SkeletonName` with a greeting and its time. */
export default defineRpc({
  name: "SkeletonName",
  // A call without parameters has null.
  params: v.nullish(v.looseObject({ name: v.optional(v.string(), "world") }), {}),
  run: async ({ name }, { clock, log }) => {
    log.info("Somebody is greeted", { name });
    return { text: `Hello ${name}`, ts: clock.now() };
  },
});
