import * as valibot from "valibot";
import { provideModules } from "#platform/module-cache";
import * as sdk from "./modules.ts";

let isProvided = false;

/**
 * Lets files of extensions import `tbgw/sdk` and `valibot` from inside the program. Each thread that imports such files calls it
 * before the first one; again is harmless.
 */
export function provideHostModules(): void {
  if (!isProvided) {
    isProvided = true;
    provideModules({ "tbgw/sdk": { ...sdk }, valibot: { ...valibot } });
  }
}
