import { isDeepStrictEqual } from "node:util";
import type { Logger } from "#sdk/logger";
import type { Pipeline } from "../pipeline/uplink.ts";
import type { DeviceService } from "./device-service.ts";
import type { GatewaySetup } from "./gateway-setup.ts";
import type { LocalViews } from "./local-views.ts";
import type { RemoteShell } from "./remote-shell.ts";
import type { Statistics } from "./statistics.ts";

/** The parts of a gateway that take other settings while they run. */
export interface ChangeableParts {
  readonly log: Logger;
  readonly pipeline: Pipeline;
  readonly devices: DeviceService;
  readonly shell: RemoteShell;
  readonly statistics: Statistics;
  readonly views: LocalViews;
}

/** What is taken at the next start alone. */
const AT_START = ["syncsAttributes", "leftBehind", "logLevel"] as const;

/** Hands changed settings to whom they concern. Connection, store and connectors are not among them. Never throws. */
export function changeSettings(
  before: GatewaySetup,
  after: GatewaySetup,
  parts: ChangeableParts,
): void {
  const { log, pipeline, devices, shell, statistics, views } = parts;
  const failed = (error: unknown): void => log.error("Changed settings cannot be taken", { error });
  const changed = <K extends keyof GatewaySetup>(key: K): GatewaySetup[K] | undefined =>
    isDeepStrictEqual(before[key], after[key]) ? undefined : after[key];
  const reports = changed("reports");
  const counts = changed("statistics");
  const known = changed("devices");
  if (reports !== undefined) {
    pipeline.setStrategies(reports).catch(failed);
  }
  if (counts !== undefined) {
    statistics.restart(counts).catch(failed);
  }
  if (known !== undefined) {
    devices.change(known);
  }
  pipeline.latencyDebug = after.latencyDebug === true;
  // Its gate is in the machine's own file alone, as that of a reboot.
  shell.switches = after.shell;
  if (!isDeepStrictEqual(before.web, after.web)) {
    views.setWeb(after.web).catch(failed);
  }
  sayWhatIsLater(before, after, log);
}

function sayWhatIsLater(before: GatewaySetup, after: GatewaySetup, log: Logger): void {
  const later = AT_START.filter((key) => !isDeepStrictEqual(before[key], after[key]));
  if (later.length > 0) {
    log.info("Some changed settings are taken at the next start", { settings: later.join(", ") });
  }
}
