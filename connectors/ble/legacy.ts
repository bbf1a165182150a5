import { isJsonObject, type Json } from "#sdk/model";
import { upgradeOnlyOnChange } from "#sdk/report-strategy";

/** Keys of before version 2.9, in seconds, and what they are called today, in milliseconds; the last one is of each device. */
export const OLDER_KEYS = {
  rescanIntervalSeconds: "scannerPollPeriod",
  scanTimeSeconds: "scannerTimeout",
  checkIntervalSeconds: "pollPeriod",
} as const;

/**
 * Brings older connector files to the shape of today; the older keys stay in place, so that they can be warned of. What is no object or
 * list is left for the schema.
 */
export function upgradeConfig(json: Json): Json {
  if (!isJsonObject(json)) {
    return json;
  }
  const { rescanIntervalSeconds, scanTimeSeconds, checkIntervalSeconds, devices } = json;
  const upgraded: Record<string, Json> = { ...json };
  setMilliseconds(upgraded, OLDER_KEYS.rescanIntervalSeconds, rescanIntervalSeconds);
  setMilliseconds(upgraded, OLDER_KEYS.scanTimeSeconds, scanTimeSeconds);
  if (Array.isArray(devices)) {
    const list: readonly Json[] = devices;
    upgraded["devices"] = list.map((device) =>
      isJsonObject(device) ? upgradeDevice(device, checkIntervalSeconds) : device,
    );
  }
  return upgraded;
}

function upgradeDevice(
  device: { readonly [key: string]: Json },
  checkSeconds: Json | undefined,
): Json {
  const upgraded: Record<string, Json> = { ...device };
  setMilliseconds(upgraded, OLDER_KEYS.checkIntervalSeconds, checkSeconds);
  return upgradeOnlyOnChange(upgraded);
}

/** A key of today that is there already counts. */
function setMilliseconds(into: Record<string, Json>, key: string, seconds: Json | undefined): void {
  if (typeof seconds === "number" && into[key] === undefined) {
    into[key] = Math.round(seconds * 1000);
  }
}
