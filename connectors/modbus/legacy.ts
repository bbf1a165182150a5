import { Float, isJsonObject, type Json } from "#sdk/model";
import { upgradeOnlyOnChange } from "#sdk/report-strategy";

type JsonObject = { readonly [key: string]: Json };

const ITEM_LISTS = ["attributes", "timeseries", "attributeUpdates", "rpc"];

/** Settings of a line that an old device takes over from its server. */
const INHERITED = [
  "host",
  "port",
  "type",
  "method",
  "timeout",
  "byteOrder",
  "wordOrder",
  "retries",
  "baudrate",
  "stopbits",
  "bytesize",
  "parity",
  "handleLocalEcho",
  "tls",
  "security",
];

/**
 * Brings older connector files to the shape of today: one `server` with `devices` becomes `master.slaves`, `registersCount` and
 * `registerCount` become `objectsCount`, methods by name become a list. What is no object or list is left for the schema.
 */
export function upgradeConfig(json: Json): Json {
  if (!isJsonObject(json)) {
    return json;
  }
  const upgraded: Record<string, Json> = { ...json };
  const { server } = upgraded;
  if (isJsonObject(server) && !isJsonObject(upgraded["master"])) {
    upgraded["master"] = { slaves: upgradeServer(server) };
    Reflect.deleteProperty(upgraded, "server");
  }
  const master = upgraded["master"];
  if (isJsonObject(master)) {
    upgraded["master"] = mapList({ ...master }, "slaves", upgradeSlave);
  }
  const { slave } = upgraded;
  if (slave === null || (isJsonObject(slave) && Object.keys(slave).length === 0)) {
    Reflect.deleteProperty(upgraded, "slave");
  } else if (isJsonObject(slave)) {
    upgraded["slave"] = upgradeOwnServer(slave);
  }
  return upgraded;
}

function upgradeServer(server: JsonObject): readonly Json[] {
  const { devices } = server;
  const list: readonly Json[] = isList(devices) ? devices : [];
  return list.map((device) => {
    if (!isJsonObject(device)) {
      return device;
    }
    const slave: Record<string, Json> = { ...device };
    for (const key of INHERITED) {
      const own = slave[key];
      const shared = server[key];
      if (!isTruthy(own) && shared !== undefined) {
        slave[key] = shared;
      }
    }
    const period = slave["timeseriesPollPeriod"] ?? slave["attributesPollPeriod"];
    if (period !== undefined) {
      slave["pollPeriod"] ??= period;
    }
    Reflect.deleteProperty(slave, "timeseriesPollPeriod");
    return slave;
  });
}

/** As Python judges a value; the old format takes the server's where the device's is not so. */
function isTruthy(value: Json | undefined): boolean {
  return value instanceof Float ? value.value !== 0 : Boolean(value);
}

function upgradeSlave(slave: JsonObject): JsonObject {
  const upgraded: Record<string, Json> = { ...slave };
  move(upgraded, "delay_between_requests_ms", "delayBetweenRequestsMs");
  // Editors write an object without entries, or with empty ones, for "none".
  for (const key of ["tls", "security"]) {
    const value = upgraded[key];
    if (isJsonObject(value) && Object.values(value).every(isBlank)) {
      Reflect.deleteProperty(upgraded, key);
    }
  }
  return upgradeOnlyOnChange(upgradeItems(upgraded));
}

function isBlank(value: Json): boolean {
  return value === "" || value === null;
}

function upgradeOwnServer(server: JsonObject): JsonObject {
  const upgraded: Record<string, Json> = { ...server };
  const security = upgraded["security"];
  if (isJsonObject(security) && !isTruthy(security["certfile"])) {
    Reflect.deleteProperty(upgraded, "security");
  }
  const values = upgraded["values"];
  if (isJsonObject(values)) {
    upgraded["values"] = Object.fromEntries(
      Object.entries(values).map(([name, table]) => [name, upgradeTable(table)]),
    );
  }
  return upgraded;
}

/** Older files put the one object of a table into a list. */
function upgradeTable(table: Json): Json {
  const [only] = isList(table) ? table : [];
  const single = only ?? (isList(table) ? {} : table);
  return isJsonObject(single) ? upgradeItems({ ...single }) : single;
}

function upgradeItems(owner: Record<string, Json>): JsonObject {
  const { rpc } = owner;
  if (isJsonObject(rpc)) {
    owner["rpc"] = Object.entries(rpc).map(([tag, item]) =>
      isJsonObject(item) ? { tag, ...item } : item,
    );
  }
  for (const key of ITEM_LISTS) {
    mapList(owner, key, upgradeItem);
  }
  return owner;
}

function upgradeItem(item: JsonObject): JsonObject {
  const upgraded: Record<string, Json> = { ...item };
  move(upgraded, "registersCount", "objectsCount");
  move(upgraded, "registerCount", "objectsCount");
  return upgraded;
}

function mapList(
  object: Record<string, Json>,
  key: string,
  upgrade: (entry: JsonObject) => Json,
): JsonObject {
  const list = object[key];
  if (isList(list)) {
    object[key] = list.map((entry) => (isJsonObject(entry) ? upgrade(entry) : entry));
  }
  return object;
}

/** Renames a key; one whose new name is taken stays, and the schema warns of it. */
function move(object: Record<string, Json>, old: string, key: string): void {
  const value = object[old];
  if (value !== undefined && object[key] === undefined) {
    Reflect.deleteProperty(object, old);
    object[key] = value;
  }
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
