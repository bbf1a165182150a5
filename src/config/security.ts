import * as v from "valibot";
import { field, optional, type ParseIssue } from "#sdk/config";
import type { Credentials } from "../thingsboard/settings.ts";
import { atLeast } from "./values.ts";

/** `thingsboard.security`. */
export const security = v.looseObject({
  type: optional(
    v.picklist([
      "accessToken",
      "usernamePassword",
      "tlsAccessToken",
      "tlsPrivateKey",
      "x509Certificate",
    ]),
    {
      doc: "How the gateway proves who it is. Without it, what is given decides: `accessToken`, else user name, password or client id, else `cert` with `privateKey`.",
    },
  ),
  accessToken: optional(v.string(), {
    doc: "Access token of the gateway device.",
    secret: true,
    reference: true,
    wizard: "Access token of the gateway device",
  }),
  username: optional(v.string(), { doc: "MQTT user name.", reference: true }),
  password: optional(v.string(), { doc: "MQTT password.", secret: true, reference: true }),
  clientId: optional(v.string(), {
    doc: "MQTT client id; used with `usernamePassword` only.",
    reference: true,
  }),
  caCert: optional(v.string(), {
    doc: "PEM file of the certificate authorities to trust instead of the system's; switches TLS on. Looked for in the configuration directory first.",
    reference: true,
  }),
  cert: optional(v.string(), { doc: "PEM file of the client certificate.", reference: true }),
  privateKey: optional(v.string(), {
    doc: "PEM file of the key of the client certificate.",
    reference: true,
  }),
  tls: field(v.boolean(), false, {
    doc: "TLS also without `caCert`. Port 8883 and the types in which TLS or a certificate is meant switch it on too.",
  }),
  insecure: field(v.boolean(), false, {
    doc: "Accepts any server certificate. Whoever is between gateway and server can then read and change everything.",
  }),
  checkCertPeriod: field(atLeast(1), 86_400, {
    doc: "How often the certificates are checked for their end.",
    unit: "s",
  }),
  certificateDaysLeft: field(atLeast(0), 3, {
    doc: "Days before its end from which on a certificate is reported.",
    unit: "days",
  }),
});

/** The parsed `security` section. */
export type Security = v.InferOutput<typeof security>;

/** The token in the file as it is installed. */
const PLACEHOLDER_TOKEN = "YOUR_ACCESS_TOKEN";

/** What the section comes to; `credentials` is `undefined` when it does not say enough. Paths of issues start at the section. */
export interface SecurityResult {
  readonly credentials: Credentials | undefined;
  readonly issues: readonly ParseIssue[];
}

/** The credentials of a `security` section. */
export function toCredentials(section: Security): SecurityResult {
  const kind = kindOf(section);
  switch (kind) {
    case "accessToken":
      return tokenCredentials(section);
    case "usernamePassword":
      return userCredentials(section);
    case "certificate":
      return certificateCredentials(section);
    case undefined: {
      const message =
        'there are no credentials: give "accessToken", "username" with "password", or "cert" with "privateKey"';
      return { credentials: undefined, issues: [{ severity: "error", path: [], message }] };
    }
  }
}

/** Whether the section asks for TLS by itself. */
export function wantsTls(section: Security): boolean {
  return section.tls || isGiven(section.caCert) || isTlsType(section);
}

function isTlsType(section: Security): boolean {
  return (
    section.type === "tlsAccessToken" ||
    section.type === "tlsPrivateKey" ||
    section.type === "x509Certificate" ||
    kindOf(section) === "certificate"
  );
}

function kindOf(section: Security): Credentials["kind"] | undefined {
  switch (section.type) {
    case "accessToken":
    case "tlsAccessToken":
      return "accessToken";
    case "usernamePassword":
      return "usernamePassword";
    case "tlsPrivateKey":
    case "x509Certificate":
      return "certificate";
    case undefined:
      return inferredKind(section);
  }
}

function inferredKind(section: Security): Credentials["kind"] | undefined {
  if (isGiven(section.accessToken)) {
    return "accessToken";
  }
  if (isGiven(section.username) || isGiven(section.password) || isGiven(section.clientId)) {
    return "usernamePassword";
  }
  return isGiven(section.cert) && isGiven(section.privateKey) ? "certificate" : undefined;
}

function tokenCredentials(section: Security): SecurityResult {
  const { accessToken } = section;
  if (!isGiven(accessToken)) {
    return missing(section, "accessToken");
  }
  const issues: ParseIssue[] = [];
  if (accessToken === PLACEHOLDER_TOKEN) {
    const message = "is still the text of the installed file: put the token of your gateway here";
    issues.push({ severity: "warning", path: ["accessToken"], message });
  }
  return { credentials: { kind: "accessToken", accessToken }, issues };
}

function userCredentials(section: Security): SecurityResult {
  const { username, password, clientId } = section;
  if (!isGiven(username) && !isGiven(clientId)) {
    return missing(section, "username");
  }
  const credentials = {
    kind: "usernamePassword",
    username: isGiven(username) ? username : undefined,
    password: isGiven(password) ? password : undefined,
    clientId: isGiven(clientId) ? clientId : undefined,
  } as const;
  return { credentials, issues: [] };
}

function certificateCredentials(section: Security): SecurityResult {
  for (const key of ["cert", "privateKey"] as const) {
    if (!isGiven(section[key])) {
      return missing(section, key);
    }
  }
  return { credentials: { kind: "certificate" }, issues: [] };
}

function missing(section: Security, key: keyof Security & string): SecurityResult {
  const type = section.type === undefined ? "" : ` of type "${section.type}"`;
  const message = `there are no credentials: security${type} needs "${key}"`;
  return { credentials: undefined, issues: [{ severity: "error", path: [key], message }] };
}

/** Whether a text field was filled in. */
export function isGiven(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}
