import type { Runnable } from "../runnable.ts";
import type { Interview } from "./interview.ts";

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
  const isWanted = await interview.confirm({
    flag: "service",
    message: "Install the service, so that the gateway starts with this machine?",
    fallback: false,
  });
  if (!isWanted) {
    return false;
  }
  const { configDir, dataDir } = places;
  const data = dataDir === undefined ? [] : ["--data", dataDir];
  const code = await install.run(["--config", configDir, ...data]);
  if (typeof code === "number" && code !== 0) {
    interview.say(
      "bad",
      'The service was not installed; the configuration is there: "tbgw service install"',
    );
    return false;
  }
  return true;
}

async function installCommand(): Promise<Runnable | undefined> {
  // The table of commands loads this file: it is looked at when it is needed, not before.
  const { commands } = await import("../catalogue.ts");
  const service = await commands["service"]?.load();
  return (await service?.subcommands())?.["install"];
}
