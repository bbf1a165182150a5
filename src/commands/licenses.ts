import { defineCommand } from "citty";
import { licensesText } from "./licenses-text.ts";
import { print } from "./print.ts";

/** `tbgw licenses` */
export const licensesCommand = defineCommand({
  meta: { name: "licenses", description: "Print the licences of everything inside the program" },
  args: {
    list: { type: "boolean", description: "Names, versions and licences only, without the texts" },
  },
  run: async ({ args }) => {
    const text = await licensesText();
    await print(args.list === true ? (text.split(/^={70,}$/m, 1)[0] ?? "") : text);
  },
});
