import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { LoadedConfiguration } from "../../config/load.ts";
import type { SessionSettings } from "../../thingsboard/settings.ts";
import type { TrialResult } from "../../thingsboard/trial.ts";

/** Connects to the platform of a configuration, as the gateway will. @throws the signal's reason alone */
export async function tryPlatform(
  { session, provisioning, dataDir }: LoadedConfiguration,
  host: { readonly clock: Clock; readonly log: Logger },
  signal: AbortSignal,
): Promise<TrialResult> {
  // The session is the delivery thread's; here there is none.
  const { tryConnection } = await import("../../thingsboard/trial.ts");
  const settings: SessionSettings | undefined =
    session ??
    (provisioning === undefined
      ? undefined
      : {
          ...provisioning.connection,
          credentials: { kind: "provisioning", request: provisioning.request, dataDir },
        });
  return settings === undefined
    ? { ok: false, step: "address", state: "down", message: "There is no host or no credentials" }
    : await tryConnection(settings, host, signal);
}
