import type { ProvisioningRequest } from "./settings.ts";

/** The part of the platform's answer that counts. */
export type Answer =
  | { readonly credentialsType: "ACCESS_TOKEN"; readonly credentialsValue: string }
  | {
      readonly credentialsType: "MQTT_BASIC";
      readonly credentialsValue: {
        readonly clientId: string | undefined;
        readonly userName: string | undefined;
        readonly password: string | undefined;
      };
    }
  | { readonly credentialsType: "X509_CERTIFICATE" };

/** The credentials to ask for; `random` makes up what was left open. */
export function wishedCredentials(
  wanted: ProvisioningRequest["wanted"],
  random: () => string,
): Answer {
  switch (wanted.kind) {
    case "accessToken":
      return {
        credentialsType: "ACCESS_TOKEN",
        credentialsValue: wanted.accessToken ?? random(),
      };
    case "usernamePassword": {
      const { clientId, username, password } = wanted;
      return {
        credentialsType: "MQTT_BASIC",
        credentialsValue: {
          clientId: clientId ?? random(),
          userName: username ?? random(),
          password: password ?? random(),
        },
      };
    }
    case "certificate":
      return { credentialsType: "X509_CERTIFICATE" };
  }
}

/** The JSON text of a request; `certificate` is PEM text and only for `X509_CERTIFICATE`. */
export function encodeRequest(wish: {
  readonly request: ProvisioningRequest;
  readonly deviceName: string;
  readonly answer: Answer;
  readonly certificate: string | undefined;
}): string {
  const { request, deviceName, answer, certificate } = wish;
  return JSON.stringify({
    provisionDeviceKey: request.deviceKey,
    provisionDeviceSecret: request.deviceSecret,
    ...credentialFields(answer, certificate),
    credentialsType: answer.credentialsType,
    deviceName,
    gateway: true,
  });
}

function credentialFields(
  answer: Answer,
  certificate: string | undefined,
): Readonly<Record<string, string | undefined>> {
  switch (answer.credentialsType) {
    case "ACCESS_TOKEN":
      return { token: answer.credentialsValue };
    case "MQTT_BASIC": {
      const { clientId, userName: username, password } = answer.credentialsValue;
      return { clientId, username, password };
    }
    case "X509_CERTIFICATE":
      return { hash: certificate };
  }
}

/** A JSON object, or `undefined` for any other text. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    // Not JSON: the same as an answer of another shape.
    return undefined;
  }
}

/** The credentials in a successful answer; `undefined` when it holds none that we know. */
export function decodeAnswer(answer: Readonly<Record<string, unknown>>): Answer | undefined {
  const { credentialsType, credentialsValue: value } = answer;
  switch (credentialsType) {
    case "ACCESS_TOKEN":
      return typeof value === "string" && value !== ""
        ? { credentialsType, credentialsValue: value }
        : undefined;
    case "MQTT_BASIC": {
      if (!isRecord(value)) {
        return undefined;
      }
      const [clientId, userName, password] = [
        value["clientId"],
        value["userName"],
        value["password"],
      ].map(given);
      return clientId === undefined && userName === undefined
        ? undefined
        : { credentialsType, credentialsValue: { clientId, userName, password } };
    }
    case "X509_CERTIFICATE":
      return { credentialsType };
    default:
      return undefined;
  }
}

/** What a person can do about an answer without credentials. */
export function adviceFor(answer: Readonly<Record<string, unknown>> | undefined): string {
  switch (answer?.["status"]) {
    case "NOT_FOUND":
      return 'The platform knows no device profile with this provisioning key and secret: compare "provisionDeviceKey" and "provisionDeviceSecret" with the profile in ThingsBoard';
    case "FAILURE":
      return 'The platform refuses to provision this device: its name is taken, it was provisioned before, or the profile wants it created beforehand; delete the device in ThingsBoard, choose another "deviceName", or put its credentials into "security"';
    default: {
      // Never the whole answer: it may hold credentials.
      const said = given(answer?.["errorMsg"]) ?? "it holds no credentials that are known here";
      return `Cannot use the platform's answer to the provisioning request: ${said}`;
    }
  }
}

function given(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
