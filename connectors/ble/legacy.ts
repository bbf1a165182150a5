import { isJsonObject, type Json } from "#sdk/model";
import { upgradeOnlyOnChange } from "#sdk/report-strategy";

/** Keys of before version 2.9, in seconds, and what they are called today, in milliseconds. */
const SECONDS: Readonly<Record<string, string>> = {
  rescanIntervalSeconds: "scannerPollPeriod",
  scanTimeSeconds: "scannerTimeout",
};

/** Brings older connector files to the shape of today. What is no object or list is left for the schema. */
export function upgradeConfig(json: Json): Json {
  if (!isJsonObject(json)) {
    return json;
  }
  const upgraded: Record<string, Json> = { ...json };
  for (const [old, key] of Object.entries(SECONDS)) {
    moveSeconds(upgraded, old, upgraded, key);
  }
  const { devices, checkIntervalSeconds } = upgraded;
  if (Array.isArray(devices)) {
    const list: readonly Json[] = devices;
    upgraded["devices"] = list.map((device) =>
      isJsonObject(device) ? upgradeDevice(device, checkIntervalSeconds) : device,
    );
    Reflect.deleteProperty(upgraded, "checkIntervalSeconds");
  }
  return upgraded;
}

function upgradeDevice(device: { readonly [key: string]: Json }, checkSeconds: Json | undefined) {
  const upgraded: Record<string, Json> = { ...device };
  if (checkSeconds !== undefined) {
    moveSeconds(
      { checkIntervalSeconds: checkSeconds },
      "checkIntervalSeconds",
      upgraded,
      "pollPeriod",
    );
  }
  return upgradeOnlyOnChange(upgraded);
}

/** One whose new name is taken stays where it is, and the schema warns of it. */
function moveSeconds(
  from: Record<string, Json>,
  old: string,
  to: Record<string, Json>,
  key: string,
): void {
  const seconds = from[old];
  if (typeof seconds === "number" && to[key] === undefined) {
    Reflect.deleteProperty(from, old);
    to[key] = Math.round(seconds * 1000);
  }
}
