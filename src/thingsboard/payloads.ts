/** The records of one device in a publish. `name` is the platform's name as a JSON string, quotes included. */
export interface DevicePart {
  readonly name: string;
  /** At least one; telemetry entries `{"ts":1,"values":{…}}` or attribute objects `{…}` as JSON text. */
  readonly jsons: readonly string[];
}

/**
 * Payload of `v1/gateway/telemetry`: `{"A":[entry,…],"B":[…]}`. The parts must have different names: the server keeps
 * only the last of equal ones.
 */
export function gatewayTelemetry(parts: readonly DevicePart[]): string {
  return objectOf(parts, (jsons) => `[${jsons.join(",")}]`);
}

/** Payload of `v1/gateway/attributes`: `{"A":{…},"B":{…}}`. The objects of a device become one; the last of equal keys counts. */
export function gatewayAttributes(parts: readonly DevicePart[]): string {
  return objectOf(parts, mergeObjects);
}

/** Payload of `v1/devices/me/telemetry`: `[entry,…]`. */
export function ownTelemetry(jsons: readonly string[]): string {
  return `[${jsons.join(",")}]`;
}

/** Payload of `v1/devices/me/attributes`: one object; the last of equal keys counts. */
export function ownAttributes(jsons: readonly string[]): string {
  return mergeObjects(jsons);
}

/** Payload of `v1/gateway/connect`. An empty type leaves the choice to the server, which takes `default`. */
export function connectPayload(device: string, type: string): string {
  return type === "" ? JSON.stringify({ device }) : JSON.stringify({ device, type });
}

/** Payload of `v1/gateway/disconnect`. */
export function disconnectPayload(device: string): string {
  return JSON.stringify({ device });
}

/** Several JSON objects as one, by text: braces off, commas between. */
function mergeObjects(jsons: readonly string[]): string {
  const [first] = jsons;
  if (jsons.length === 1 && first !== undefined) {
    return first;
  }
  let members = "";
  for (const json of jsons) {
    const inner = json.slice(1, -1);
    if (inner !== "") {
      members += members === "" ? inner : `,${inner}`;
    }
  }
  return `{${members}}`;
}

function objectOf(
  parts: readonly DevicePart[],
  value: (jsons: readonly string[]) => string,
): string {
  let text = "{";
  for (const part of parts) {
    text += `${text === "{" ? "" : ","}${part.name}:${value(part.jsons)}`;
  }
  return `${text}}`;
}
