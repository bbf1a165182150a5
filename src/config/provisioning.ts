import * as v from "valibot";
import { optional } from "#sdk/config";
import type { ProvisioningRequest } from "../thingsboard/settings.ts";
import { anyCase } from "./values.ts";

const text = v.pipe(v.string(), v.minLength(1));

/** `thingsboard.provisioning`. */
export const provisioning = v.looseObject({
  type: optional(anyCase(["ACCESS_TOKEN", "MQTT_BASIC", "X509_CERTIFICATE"]), {
    doc: "Which credentials the platform is asked for. Default: `ACCESS_TOKEN`.",
  }),
  provisionDeviceKey: optional(text, {
    doc: "Key of the device profile. Needed, as is the secret.",
    secret: true,
    reference: true,
  }),
  provisionDeviceSecret: optional(text, {
    doc: "Secret of the device profile.",
    secret: true,
    reference: true,
  }),
  deviceName: optional(text, {
    doc: "Name of the gateway device. Default: `Gateway ` and five random letters.",
    reference: true,
  }),
  access_token: optional(text, {
    doc: "`ACCESS_TOKEN`: the wanted token. Default: random.",
    secret: true,
    reference: true,
  }),
  client_id: optional(text, { doc: "`MQTT_BASIC`. Default: random.", reference: true }),
  username: optional(text, { doc: "`MQTT_BASIC`. Default: random.", reference: true }),
  password: optional(text, {
    doc: "`MQTT_BASIC`. Default: random.",
    secret: true,
    reference: true,
  }),
  caCert: optional(text, {
    doc: "`X509_CERTIFICATE`: PEM file of the certificate authorities to trust.",
    reference: true,
  }),
});

/** The parsed `provisioning` section. */
export type Provisioning = v.InferOutput<typeof provisioning>;

/** The request that a section comes to; `undefined` without key and secret. */
export function toProvisioning(section: Provisioning): ProvisioningRequest | undefined {
  const { provisionDeviceKey: deviceKey, provisionDeviceSecret: deviceSecret } = section;
  if (deviceKey === undefined || deviceSecret === undefined) {
    return undefined;
  }
  return { deviceKey, deviceSecret, deviceName: section.deviceName, wanted: wantedOf(section) };
}

function wantedOf(section: Provisioning): ProvisioningRequest["wanted"] {
  switch (section.type) {
    case "ACCESS_TOKEN":
    case undefined:
      return { kind: "accessToken", accessToken: section.access_token };
    case "MQTT_BASIC":
      return {
        kind: "usernamePassword",
        clientId: section.client_id,
        username: section.username,
        password: section.password,
      };
    case "X509_CERTIFICATE":
      return { kind: "certificate", caCert: section.caCert };
  }
}

/** The file `.credentials`: the platform's answer to a provisioning request, kept word for word. */
export const savedCredentials = v.variant("credentialsType", [
  v.looseObject({
    credentialsType: v.literal("ACCESS_TOKEN"),
    credentialsValue: text,
  }),
  v.looseObject({
    credentialsType: v.literal("MQTT_BASIC"),
    credentialsValue: v.looseObject({
      clientId: v.nullish(v.string()),
      userName: v.nullish(v.string()),
      password: v.nullish(v.string()),
    }),
  }),
  v.looseObject({
    credentialsType: v.literal("X509_CERTIFICATE"),
    caCert: v.nullish(v.string()),
  }),
]);

/** The `security` section that saved credentials stand for; `undefined` when the text is not such a file. */
export function securityOfSaved(value: unknown): Readonly<Record<string, unknown>> | undefined {
  const parsed = v.safeParse(savedCredentials, value);
  if (!parsed.success) {
    return undefined;
  }
  const saved = parsed.output;
  switch (saved.credentialsType) {
    case "ACCESS_TOKEN":
      return { type: "accessToken", accessToken: saved.credentialsValue };
    case "MQTT_BASIC": {
      const { clientId, userName: username, password } = saved.credentialsValue;
      return present({ type: "usernamePassword", clientId, username, password });
    }
    case "X509_CERTIFICATE": {
      const files = { cert: "cert.pem", privateKey: "key.pem", caCert: saved.caCert };
      return present({ type: "x509Certificate", tls: true, ...files });
    }
  }
}

function present(section: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(section).filter(([, value]) => (value ?? "") !== ""));
}
