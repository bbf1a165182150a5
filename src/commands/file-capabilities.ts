import { UsageError } from "./flags.ts";
import type { ServiceHost } from "./service-host.ts";

/** What a program needs to open a Bluetooth adapter, for setcap(8): as its file has it, whoever runs it. */
export const BLUETOOTH_CAPABILITIES = "cap_net_raw,cap_net_admin+ep";

/** What the file of a program may do beyond its user, as setcap(8) takes it; `undefined` for nothing, and where nobody can tell. */
export async function fileCapabilities(
  file: string,
  host: ServiceHost,
): Promise<string | undefined> {
  if (host.find("getcap") === undefined) {
    return undefined;
  }
  const { exitCode, stdout } = await host.ask(["getcap", file]);
  // Before libcap 2.41 "file = cap_net_raw+ep", since then "file cap_net_raw=ep".
  return exitCode === 0 ? / ([a-z_,0-9]+[+=][eip]+)\n$/.exec(stdout)?.[1] : undefined;
}

/** What a file that takes the place of another loses, and who can give it. */
export interface Inheritance {
  /** Of the program that is replaced. */
  readonly capabilities: string | undefined;
  readonly target: string;
  readonly isRoot: boolean;
  /** Whether the service is started at once with the program that comes. */
  readonly restart: boolean;
}

/** @throws UsageError with the commands to type when the gateway would start without what it needs, because only root can give it */
export function refuseLoss({ capabilities, target, isRoot, restart }: Inheritance): void {
  if (capabilities !== undefined && !isRoot && restart) {
    throw new UsageError(
      `${target} has capabilities that only root can give to the new program. Replace the file alone with --no-restart, then:
  sudo setcap ${capabilities} ${target}
  tbgw service install --cron`,
    );
  }
}

/** Gives the program that comes what the one before had, or says who must. @throws Error when setcap fails */
export async function bequeath(
  { capabilities, target, isRoot }: Inheritance,
  next: string,
  host: ServiceHost,
): Promise<void> {
  if (capabilities === undefined) {
    return;
  }
  if (isRoot) {
    await host.run(["setcap", capabilities, next]);
  } else {
    host.say(`then       sudo setcap ${capabilities} ${target}`);
  }
}
