import type { RecordKind } from "#sdk/batch";

// Names as in the ThingsBoard MQTT Gateway API and Device API.

/** Opens a device at the platform for this connection: `{"device":"A","type":"pump"}`. */
export const GATEWAY_CONNECT = "v1/gateway/connect";

/** Closes it again: `{"device":"A"}`. */
export const GATEWAY_DISCONNECT = "v1/gateway/disconnect";

/** Asks for attributes of a device: `{"id":7,"device":"A","client":false,"key":"k"}`. */
export const GATEWAY_ATTRIBUTES_REQUEST = "v1/gateway/attributes/request";

/** Asks for the session limits; id 1 is set aside for it on every connection. */
export const LIMITS_REQUEST = "v1/devices/me/rpc/request/1";

/** Where the limits come back. */
export const LIMITS_RESPONSE = "v1/devices/me/rpc/response/1";

/** Asks for an attribute of the own device; this id is set aside for it on every connection. */
export const KEPT_REQUEST = "v1/devices/me/attributes/request/2000000000";

/** Where it comes back. */
export const KEPT_RESPONSE = "v1/devices/me/attributes/response/2000000000";

/**
 * All that the gateway subscribes to, in order. ThingsBoard compares filters as exact strings and refuses every other one;
 * `v1/gateway/disconnect` arrives without a subscription.
 */
export const SUBSCRIPTIONS: readonly string[] = [
  "v1/devices/me/attributes",
  "v1/devices/me/attributes/response/+",
  "v1/devices/me/rpc/request/+",
  "v1/devices/me/rpc/response/+",
  "v1/gateway/attributes",
  "v1/gateway/attributes/response",
  "v1/gateway/rpc",
];

/** Where records of a kind are published. */
export const DATA_TOPICS: Readonly<Record<RecordKind, string>> = {
  telemetry: "v1/gateway/telemetry",
  attributes: "v1/gateway/attributes",
  "gateway-telemetry": "v1/devices/me/telemetry",
  "gateway-attributes": "v1/devices/me/attributes",
};

/** Whether a publish to this topic needs the server to treat the connected device as a gateway. */
export function isGatewayTopic(topic: string): boolean {
  return topic.startsWith("v1/gateway/");
}

/**
 * Whether a message tells of a device that was renamed or deleted. The platform says so once: it forgets it with the PUBACK.
 */
export function isNotice(topic: string, payload: string): boolean {
  return (
    topic.startsWith("v1/devices/me/rpc/request/") &&
    /"gateway_device_(?:renamed|deleted)"/.test(payload)
  );
}

const DATA: ReadonlySet<string> = new Set(Object.values(DATA_TOPICS));

/** Whether a topic carries records. */
export function isDataTopic(topic: string): boolean {
  return DATA.has(topic);
}
