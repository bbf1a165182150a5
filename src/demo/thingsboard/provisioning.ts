import { randomBytes } from "node:crypto";
import { DataError, RejectedError } from "#sdk/errors";
import { type JsonNode, parseJson } from "./json.ts";
import { type Credentials, type Device, type Registry, sha3 } from "./model.ts";
import { quote } from "./values.ts";

/** Topic on which a provisioning client asks; unlike all others it starts with a slash. */
export const PROVISION_REQUEST_TOPIC = "/provision/request";
/** Topic of the reply. */
export const PROVISION_RESPONSE_TOPIC = "/provision/response";

const FAILURE = '{"errorMsg":"Failed to provision device!","status":"FAILURE"}';
const NOT_FOUND = '{"errorMsg":"Provision data was not found!","status":"NOT_FOUND"}';
const ALPHANUMERICS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

interface ProvisionRequest {
  readonly key: string;
  readonly secret: string;
  /** Undefined: the server makes up a name. */
  readonly deviceName: string | undefined;
  readonly isGateway: boolean;
  readonly credentials: Credentials;
}

/**
 * Handles one provision request (its payload as text) and returns the JSON text of the reply.
 * @throws DataError with reason `bad-json` for a payload that is no JSON, `bad-shape` for a missing key or secret or an
 * unknown type of credentials.
 */
export function provision(registry: Registry, payload: string): string {
  const request = readRequest(parseJson(payload));
  const profile = registry.profiles().find(({ provision: rule }) => {
    const isX509 = rule?.strategy === "X509_CERTIFICATE_CHAIN";
    return (
      rule !== undefined && !isX509 && rule.key === request.key && rule.secret === request.secret
    );
  });
  if (profile?.provision === undefined) {
    return NOT_FOUND;
  }
  const name = request.deviceName?.trim() ?? randomText(20);
  if (name === "") {
    return FAILURE;
  }
  const isCreate = profile.provision.strategy === "ALLOW_CREATE_NEW_DEVICES";
  const known = registry.find(name);
  if (isCreate ? known !== undefined || !registry.hasRoom : !isWaiting(known, profile.name)) {
    return FAILURE;
  }
  const device = known ?? registry.create(name, profile.name);
  return finish(registry, device, request);
}

function finish(registry: Registry, device: Device, request: ProvisionRequest): string {
  const isKnown = device.credentials !== undefined;
  try {
    registry.setCredentials(device, request.credentials);
  } catch (error) {
    if (!(error instanceof RejectedError)) {
      throw error;
    }
    if (!isKnown) {
      registry.delete(device);
    }
    return FAILURE;
  }
  device.isGateway ||= request.isGateway;
  device.attributes.server.set("provisionState", {
    type: "STRING",
    value: "provisioned",
    text: '"provisioned"',
  });
  const { credentials } = request;
  const value = credentialsValue(credentials);
  const type = quote(credentials.type);
  return `{"credentialsValue":${value},"credentialsType":${type},"status":"SUCCESS"}`;
}

function credentialsValue(credentials: Credentials): string {
  switch (credentials.type) {
    case "ACCESS_TOKEN":
      return quote(credentials.token);
    case "MQTT_BASIC": {
      const { clientId, userName, password } = credentials;
      return JSON.stringify({ clientId, userName, password });
    }
    default:
      return quote(sha3(credentials.certificate.replace(/-----[A-Z ]+-----|\s+/g, "")));
  }
}

/** Whether a device stands ready in that profile and was not provisioned before. */
function isWaiting(device: Device | undefined, profile: string): boolean {
  return (
    device?.profile === profile &&
    device.attributes.server.get("provisionState")?.value !== "provisioned"
  );
}

function readRequest(node: JsonNode): ProvisionRequest {
  const key = text(node, "provisionDeviceKey");
  const secret = text(node, "provisionDeviceSecret");
  if (key === undefined || secret === undefined) {
    throw new DataError("A provision request needs a key and a secret", { reason: "bad-shape" });
  }
  return {
    key,
    secret,
    deviceName: text(node, "deviceName"),
    isGateway: text(node, "gateway")?.toLowerCase() === "true",
    credentials: readCredentials(node),
  };
}

function readCredentials(node: JsonNode): Credentials {
  const type = text(node, "credentialsType") ?? "ACCESS_TOKEN";
  switch (type) {
    case "ACCESS_TOKEN":
      return { type, token: text(node, "token") ?? randomText(20) };
    case "MQTT_BASIC": {
      const clientId = text(node, "clientId");
      const userName = text(node, "username");
      const password = text(node, "password");
      return {
        type,
        ...(clientId === undefined ? {} : { clientId }),
        ...(userName === undefined ? {} : { userName }),
        ...(password === undefined ? {} : { password }),
      };
    }
    case "X509_CERTIFICATE":
      return { type, certificate: text(node, "hash") ?? "" };
    default:
      throw new DataError(`Unknown type of credentials "${type}"`, { reason: "bad-shape" });
  }
}

/** The content of a member that is neither null nor nested. */
function text(node: JsonNode, name: string): string | undefined {
  const member = node.kind === "object" ? node.members.get(name) : undefined;
  return member === undefined ||
    member.kind === "null" ||
    member.kind === "array" ||
    member.kind === "object"
    ? undefined
    : member.content;
}

function randomText(length: number): string {
  let result = "";
  for (const byte of randomBytes(length)) {
    result += ALPHANUMERICS.charAt(byte % ALPHANUMERICS.length);
  }
  return result;
}
