import type { JsonRecord } from "../../config/canonical.ts";

/** How the gateway proves who it is, as a person says it. */
export type CredentialAnswers =
  | { readonly kind: "token"; readonly token: string }
  | {
      readonly kind: "user";
      readonly username: string;
      readonly password: string;
      readonly clientId: string;
    }
  | { readonly kind: "certificate"; readonly cert: string; readonly key: string }
  | {
      readonly kind: "provisioning";
      readonly deviceKey: string;
      readonly deviceSecret: string;
      readonly deviceName: string;
      /** As `provisioning.type` has it. */
      readonly type: string;
    };

/** Where the platform is, as a person says it. */
export interface PlatformAnswers {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** PEM file; empty: the authorities of the system. */
  readonly ca: string;
  readonly insecure: boolean;
  readonly credentials: CredentialAnswers;
}

/** The keys of `thingsboard` that say so; what is empty is left out. */
export function platformJson(answers: PlatformAnswers): JsonRecord {
  const { host, port, tls, ca, insecure, credentials } = answers;
  const secured = {
    ...(tls ? { tls: true } : {}),
    ...filled({ caCert: ca }),
    ...(insecure ? { insecure: true } : {}),
  };
  const place = { host, port };
  switch (credentials.kind) {
    case "token":
      return {
        ...place,
        security: { type: "accessToken", accessToken: credentials.token, ...secured },
      };
    case "user": {
      const { username, password, clientId } = credentials;
      const given = filled({ username, password, clientId });
      return { ...place, security: { type: "usernamePassword", ...given, ...secured } };
    }
    case "certificate": {
      const { cert, key } = credentials;
      return {
        ...place,
        security: { type: "x509Certificate", cert, privateKey: key, ...secured },
      };
    }
    case "provisioning": {
      const { type, deviceKey, deviceSecret, deviceName } = credentials;
      const provisioning = {
        type,
        provisionDeviceKey: deviceKey,
        provisionDeviceSecret: deviceSecret,
        ...filled({ deviceName }),
        ...(type === "X509_CERTIFICATE" ? filled({ caCert: ca }) : {}),
      };
      const hasSecurity = Object.keys(secured).length > 0;
      return { ...place, ...(hasSecurity ? { security: secured } : {}), provisioning };
    }
  }
}

function filled(object: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(object).filter(([, text]) => text !== ""));
}

/** What a person can do about a connection that did not work. */
export function trialAdvice(
  failure: { readonly step: string; readonly state: string; readonly message: string },
  place: { readonly host: string; readonly port: number; readonly tls: boolean },
): string {
  const { step, state, message } = failure;
  if (state === "not-a-gateway") {
    return ""; // The message says what to do.
  }
  if (state === "refused") {
    return "In ThingsBoard: open the gateway's device, “Manage credentials”, and copy them once more, without blanks.";
  }
  if (step === "address") {
    return `Check the spelling of ${place.host} and that this machine reaches a DNS server (getent hosts ${place.host}); an IP address works too.`;
  }
  if (/nothing listens/.test(message)) {
    return `Is ${place.port} the MQTT port? ThingsBoard listens on 1883, with TLS on 8883; the web page (80, 443, 8080) is another one. Is MQTT switched on there?`;
  }
  if (/no answer|no route|unreachable/.test(message)) {
    return `Nothing comes back from ${place.host}: a firewall between here and there, a wrong address, or the server is off.`;
  }
  if (/answer(?:ing)? CONNECT/.test(message)) {
    return place.tls
      ? `What listens on port ${place.port} is not an MQTT server.`
      : `What listens on port ${place.port} is not an MQTT server without TLS: if it is 8883 say yes to TLS, if it is the port of the web page take 1883.`;
  }
  if (/certificate|TLS/.test(message)) {
    return "A server with a certificate of your own authority needs its PEM file as the CA file.";
  }
  return "";
}
