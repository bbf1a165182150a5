import type { Json } from "#sdk/model";
import type { JsonRecord } from "../../config/canonical.ts";
import { objectAt } from "./draft.ts";

/** What a main file says about the platform, by the options that would say the same. */
export interface EarlierAnswers {
  readonly answers: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
}

/** The platform of a main file as answers. */
export function earlierAnswers(main: JsonRecord): EarlierAnswers {
  const thingsboard = objectAt(main, "thingsboard");
  const security = objectAt(thingsboard, "security");
  const provisioning = objectAt(thingsboard, "provisioning");
  const text = (object: JsonRecord, key: string): string => textOf(object[key]);
  return {
    answers: {
      host: text(thingsboard, "host"),
      port: text(thingsboard, "port"),
      tls: security["tls"] === true || isTlsType(text(security, "type")) ? "true" : "",
      ca: text(security, "caCert") || text(provisioning, "caCert"),
      credentials: kindOf(security, provisioning),
      username: text(security, "username"),
      "client-id": text(security, "clientId"),
      cert: text(security, "cert"),
      key: text(security, "privateKey"),
      "provision-key": text(provisioning, "provisionDeviceKey"),
      "provision-type": text(provisioning, "type"),
      "device-name": text(provisioning, "deviceName"),
    },
    secrets: {
      token: text(security, "accessToken").replace(/^YOUR_ACCESS_TOKEN$/, ""),
      password: text(security, "password"),
      "provision-secret": text(provisioning, "provisionDeviceSecret"),
    },
  };
}

function kindOf(security: JsonRecord, provisioning: JsonRecord): string {
  if (textOf(security["accessToken"]) !== "") {
    return "token";
  }
  if (textOf(security["username"]) !== "" || textOf(security["clientId"]) !== "") {
    return "user";
  }
  if (textOf(security["cert"]) !== "") {
    return "certificate";
  }
  return Object.keys(provisioning).length > 0 ? "provisioning" : "";
}

function isTlsType(type: string): boolean {
  return type.startsWith("tls") || type === "x509Certificate";
}

function textOf(value: Json | undefined): string {
  if (Array.isArray(value)) {
    return value.map((element: Json) => textOf(element)).join(",");
  }
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
