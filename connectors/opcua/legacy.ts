import { Float, isJsonObject, type Json } from "#sdk/model";
import { upgradeOnlyOnChange } from "#sdk/report-strategy";

type JsonObject = { readonly [key: string]: Json };

/** Python's names of the types of plain arguments. */
function argumentType(value: Json): string {
  if (typeof value === "boolean") {
    return "boolean";
  }
  if (typeof value === "bigint") {
    return "integer";
  }
  if (typeof value === "number" || value instanceof Float) {
    return Number.isInteger(value) ? "integer" : "double";
  }
  return "string";
}

/**
 * Renames the keys of older connector files to those of today, entry by entry: an old key in one entry changes nothing in the others, and an
 * entry of today stays as it is. Never drops anything; what is no object or list is left for the schema.
 */
export function upgradeConfig(json: Json): Json {
  if (!isJsonObject(json)) {
    return json;
  }
  const { server } = json;
  const upgraded: Record<string, Json> = { ...upgradeOnlyOnChange(json) };
  const old = isJsonObject(server) ? server["mapping"] : undefined;
  if (isJsonObject(server) && isList(old)) {
    const rest: Record<string, Json> = { ...server };
    Reflect.deleteProperty(rest, "mapping");
    upgraded["server"] = rest;
    const today = upgraded["mapping"];
    upgraded["mapping"] = isList(today) && today.length > 0 ? today : old;
  }
  const mapping = upgraded["mapping"];
  if (isList(mapping)) {
    upgraded["mapping"] = mapping.map((entry) =>
      isJsonObject(entry) ? upgradeMapping(entry) : entry,
    );
  }
  return upgraded;
}

function upgradeMapping(entry: JsonObject): Json {
  const upgraded: Record<string, Json> = { ...upgradeOnlyOnChange(entry) };
  const { deviceInfo } = upgraded;
  const info: Record<string, Json> = isJsonObject(deviceInfo) ? { ...deviceInfo } : {};
  move(upgraded, "deviceNamePattern", info, "deviceNameExpression");
  move(upgraded, "deviceTypePattern", info, "deviceProfileExpression");
  if (Object.keys(info).length > 0) {
    upgraded["deviceInfo"] = info;
  }
  for (const key of ["attributes", "timeseries"]) {
    mapList(upgraded, key, (point) => renamed(upgradeOnlyOnChange(point), { path: "value" }));
  }
  mapList(upgraded, "attributes_updates", (update) =>
    renamed(update, { attributeOnThingsBoard: "key", attributeOnDevice: "value" }),
  );
  mapList(upgraded, "rpc_methods", upgradeMethod);
  return upgraded;
}

/** Plain values become arguments of today; what is an object already is one. */
function upgradeMethod(method: JsonObject): JsonObject {
  const list = method["arguments"];
  if (!isList(list)) {
    return method;
  }
  const today = list.map((value) =>
    isJsonObject(value) ? value : { type: argumentType(value), value },
  );
  return { ...method, arguments: today };
}

function renamed(entry: JsonObject, names: Readonly<Record<string, string>>): JsonObject {
  const upgraded: Record<string, Json> = { ...entry };
  for (const [old, key] of Object.entries(names)) {
    move(upgraded, old, upgraded, key);
  }
  return upgraded;
}

function mapList(
  object: Record<string, Json>,
  key: string,
  upgrade: (entry: JsonObject) => Json,
): void {
  const list = object[key];
  if (isList(list)) {
    object[key] = list.map((entry) => (isJsonObject(entry) ? upgrade(entry) : entry));
  }
}

/** Moves a key; one whose new name is taken stays where it is, and the schema warns of it. */
function move(
  from: Record<string, Json>,
  old: string,
  to: Record<string, Json>,
  key: string,
): void {
  const value = from[old];
  if (value !== undefined && to[key] === undefined) {
    Reflect.deleteProperty(from, old);
    to[key] = value;
  }
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
