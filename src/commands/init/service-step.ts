import { errorText } from "#sdk/errors";
import type { Runnable } from "../runnable.ts";
import { Cancelled, type Interview } from "./interview.ts";

/**
 * Offers to install the service, where this program can do that; resolves with whether it was installed. Without anybody to ask it is done
 * by `--service` alone.
 */
export async function offerService(
  interview: Interview,
  places: { readonly configDir: string; readonly dataDir: string | undefined },
): Promise<boolean> {
  const install = await installCommand();
  if (install === undefined) {
    return false;
  }
  if (!(await isWanted(interview))) {
    return false;
  }
  const { configDir, dataDir } = places;
  const data = dataDir === undefined ? [] : ["--data", dataDir];
  const place = ["--config", configDir, ...data];
  try {
    const code = await install.run(place);
    if (typeof code !== "number" || code === 0) {
      return true;
    }
  } catch (error) {
    // It names the command that was typed, which may hold a token.
    const typed = process.argv.slice(2).join(" ");
    interview.say("bad", errorText(error).replaceAll(typed, `service install ${place.join(" ")}`));
  }
  interview.say("warn", "The service is not installed. The configuration is there all the same.");
  return false;
}

/** The files are written by then: Ctrl-C means no. */
async function isWanted(interview: Interview): Promise<boolean> {
  try {
    return await interview.confirm({
      flag: "service",
      message: "Install the service, so that the gateway starts with this machine?",
      fallback: false,
    });
  } catch (error) {
    if (error instanceof Cancelled) {
      return false;
    }
    throw error;
  }
}

async function installCommand(): Promise<Runnable | undefined> {
  // The table of commands loads this file: it is looked at when it is needed, not before.
  const { commands } = await import("../catalogue.ts");
  const service = await commands["service"]?.load();
  return (await service?.subcommands())?.["install"];
}
