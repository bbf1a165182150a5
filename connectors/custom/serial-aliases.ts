import { isJsonObject, type Json } from "tbgw/sdk";

/** Other names of keys of a device; the second one counts when both are there. */
const ALIASES = [
  ["name", "deviceName"],
  ["type", "deviceType"],
  ["uplink_converter", "converter"],
  ["timeseries", "telemetry"],
] as const;

/** Gives each key of a device the name the schema knows. */
export function renameAliases(json: Json): Json {
  if (!isJsonObject(json) || !Array.isArray(json["devices"])) {
    return json;
  }
  const list: readonly Json[] = json["devices"];
  return { ...json, devices: list.map((device) => renamed(device)) };
}

function renamed(device: Json): Json {
  if (!isJsonObject(device)) {
    return device;
  }
  const result: Record<string, Json> = { ...device };
  for (const [other, name] of ALIASES) {
    const value = result[other];
    if (value !== undefined) {
      delete result[other];
      result[name] ??= value;
    }
  }
  return result;
}
