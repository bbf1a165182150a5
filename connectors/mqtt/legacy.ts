import { isJsonObject, type Json } from "#sdk/model";
import { upgradeOnlyOnChange } from "#sdk/report-strategy";

type JsonObject = { readonly [key: string]: Json };

/** Where an old key goes: its source and the expression it becomes. */
interface Rename {
  readonly old: string;
  readonly source: "message" | "topic";
  readonly kind: "Name" | "Profile";
}

/** In order of precedence: what is read from the topic goes before what is read from the message. */
const DEVICE_RENAMES: readonly Rename[] = [
  { old: "deviceNameTopicExpression", source: "topic", kind: "Name" },
  { old: "deviceTypeTopicExpression", source: "topic", kind: "Profile" },
  { old: "deviceNameJsonExpression", source: "message", kind: "Name" },
  { old: "deviceTypeJsonExpression", source: "message", kind: "Profile" },
];

/** Lists whose entries name a device or an attribute. */
const REQUEST_LISTS = [
  "connectRequests",
  "disconnectRequests",
  "attributeRequests",
  "attributeUpdates",
  "serverSideRpc",
];

/**
 * Renames the keys of older connector files to those of today, entry by entry: an old key in one entry changes nothing in the
 * others, and an entry of today stays as it is. Never drops anything; what is no object or list is left for the schema.
 */
export function upgradeConfig(json: Json): Json {
  if (!isJsonObject(json)) {
    return json;
  }
  const upgraded: Record<string, Json> = { ...upgradeOnlyOnChange(withBrokerSwitch(json)) };
  for (const key of ["mapping", "dataMapping"]) {
    mapList(upgraded, key, upgradeMapping);
  }
  for (const key of REQUEST_LISTS) {
    mapList(upgraded, key, upgradeRequest);
  }
  const requests = upgraded["requestsMapping"];
  if (isJsonObject(requests)) {
    const lists: Record<string, Json> = { ...requests };
    for (const key of REQUEST_LISTS) {
      mapList(lists, key, upgradeRequest);
    }
    upgraded["requestsMapping"] = lists;
  }
  return upgraded;
}

/** The switch of old files stands in the broker's section or at the root; both mean the connector. */
function withBrokerSwitch(json: JsonObject): JsonObject {
  const { broker } = json;
  return isJsonObject(broker) && broker["sendDataOnlyOnChange"] === true
    ? { ...json, sendDataOnlyOnChange: true }
    : json;
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

function upgradeMapping(entry: JsonObject): Json {
  const { converter } = entry;
  return isJsonObject(converter)
    ? { ...entry, converter: upgradeOnlyOnChange(upgradeConverter(converter)) }
    : entry;
}

function upgradeConverter(converter: JsonObject): JsonObject {
  const upgraded: Record<string, Json> = { ...converter };
  // An extension goes before the type.
  if (typeof upgraded["extension"] === "string" && upgraded["extension"] !== "") {
    upgraded["type"] = "custom";
  }
  if (upgraded["type"] !== "bytes") {
    move(upgraded, "extension-config", upgraded, "extensionConfig");
  }
  const info = { ...ownInfo(upgraded) };
  renameDevice(upgraded, info);
  if (upgraded["type"] === "bytes") {
    move(upgraded, "deviceNameExpression", info, "deviceNameExpression");
    move(upgraded, "deviceTypeExpression", info, "deviceProfileExpression");
  }
  return withInfo(upgraded, info);
}

function upgradeRequest(entry: JsonObject): JsonObject {
  const upgraded: Record<string, Json> = { ...entry };
  const info = { ...ownInfo(upgraded) };
  renameDevice(upgraded, info);
  for (const [old, source] of [
    ["attributeNameTopicExpression", "topic"],
    ["attributeNameJsonExpression", "message"],
  ] as const) {
    if (move(upgraded, old, upgraded, "attributeNameExpression")) {
      upgraded["attributeNameExpressionSource"] = source;
    }
  }
  return withInfo(upgraded, info);
}

function ownInfo(entry: JsonObject): JsonObject {
  const { deviceInfo } = entry;
  return isJsonObject(deviceInfo) ? deviceInfo : {};
}

function withInfo(entry: Record<string, Json>, info: JsonObject): JsonObject {
  return Object.keys(info).length === 0 ? entry : { ...entry, deviceInfo: info };
}

function renameDevice(entry: Record<string, Json>, info: Record<string, Json>): void {
  for (const { old, source, kind } of DEVICE_RENAMES) {
    const key = `device${kind}Expression`;
    if (move(entry, old, info, key)) {
      info[`${key}Source`] = source;
    }
  }
}

/** Moves a key; one whose new name is taken stays where it is, and the schema warns of it. */
function move(
  from: Record<string, Json>,
  old: string,
  to: Record<string, Json>,
  key: string,
): boolean {
  const value = from[old];
  if (value === undefined || to[key] !== undefined) {
    return false;
  }
  Reflect.deleteProperty(from, old);
  to[key] = value;
  return true;
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
