import type { Interview } from "../interview.ts";
import { type ProbeOptions, problemIn } from "./assistant.ts";

/** What is wrong with a text that must be a whole number from 1. */
export function wholeProblem(text: string): string | undefined {
  return /^[1-9]\d*$/.test(text) ? undefined : "must be a whole number from 1";
}

/** Asks who signs in; both are empty for anonymous. `type` begins the options, as in `mqtt-username`. */
export async function askUser(
  interview: Interview,
  type: string,
): Promise<{ readonly username: string; readonly password: string }> {
  const username = await interview.text({
    flag: `${type}-username`,
    message: "User name (empty: anonymous)",
    fallback: "",
  });
  const password =
    username === ""
      ? ""
      : await interview.secret({ flag: `${type}-password`, message: `Password of ${username}` });
  return { username, password };
}

/** Asks how long to listen. */
export async function askSeconds(interview: Interview, type: string): Promise<string> {
  return await interview.text({
    flag: `${type}-seconds`,
    message: "For how many seconds should the gateway listen?",
    fallback: "10",
    check: wholeProblem,
  });
}

/** Asks for values in the notation of a connector, which `parse` reads. */
export async function askValues(
  interview: Interview,
  question: { readonly type: string; readonly message: string; readonly example: string },
  parse: (text: string) => readonly unknown[],
): Promise<string> {
  const { type, message, example } = question;
  return await interview.text({
    flag: `${type}-values`,
    message,
    example,
    check: (text) => problemIn(parse, text),
  });
}

/** Options of a probe that are given on the command line or not at all: nobody is asked for them. */
export function unasked(
  interview: Interview,
  type: string,
  names: readonly string[],
): ProbeOptions {
  const found = names.flatMap((name) => {
    const value = interview.flag(`${type}-${name}`);
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(found);
}
