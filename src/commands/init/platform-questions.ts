import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type * as v from "valibot";
import { metadataOf } from "#sdk/config";
import { gatewayConfig } from "../../config/gateway.ts";
import { fieldsOf, hasReference, isReference } from "../../config/references.ts";
import { parseHosts } from "../../config/session.ts";
import type { Check, Interview } from "./interview.ts";
import type { CredentialAnswers, PlatformAnswers } from "./platform-json.ts";

/** The options about where the platform is. */
export const PLACE_FLAGS = ["host", "port", "tls", "ca"] as const;

/** The options about who the gateway is there. */
export const CREDENTIAL_FLAGS = [
  "credentials",
  "token",
  "token-file",
  "username",
  "password",
  "password-file",
  "client-id",
  "cert",
  "key",
  "provision-key",
  "provision-secret",
  "provision-secret-file",
  "provision-type",
  "device-name",
] as const;

/** Every option that is about the platform. */
export const PLATFORM_FLAGS = [...PLACE_FLAGS, ...CREDENTIAL_FLAGS] as const;

/** Where the platform is and who the gateway is there. A file is made absolute against `cwd`. */
export async function askPlatform(interview: Interview, cwd: string): Promise<PlatformAnswers> {
  const host = await interview.text({
    flag: "host",
    message: wizardText("host"),
    example: "thingsboard.cloud",
    check: hostProblem,
  });
  const wantsTls = interview.flag("tls");
  const port = Number(
    await interview.text({
      flag: "port",
      message: `${wizardText("port")} (1883; with TLS 8883)`,
      fallback: wantsTls === true || interview.given("ca") ? "8883" : "1883",
      check: portProblem,
    }),
  );
  const tls =
    (port === 8883 && wantsTls === undefined) ||
    interview.given("ca") ||
    (await interview.confirm({
      flag: "tls",
      message: "Does that port use TLS? (the server's certificate is verified)",
      fallback: false,
    }));
  const ca = tls
    ? await interview.text({
        flag: "ca",
        message:
          "PEM file of the authority that signed the server's certificate (empty: a public one)",
        fallback: "",
        check: fileProblem(cwd),
      })
    : "";
  const credentials = await askCredentials(interview, cwd, tls);
  const insecure = interview.flag("insecure") === true;
  const place = { host: withoutScheme(host), port, tls, ca: absolute(ca, cwd) };
  return { ...place, insecure, credentials };
}

async function askCredentials(
  interview: Interview,
  cwd: string,
  tls: boolean,
): Promise<CredentialAnswers> {
  const kind = await interview.choose({
    flag: "credentials",
    message: "How does the gateway prove who it is?",
    fallback: impliedKind(interview),
    choices: [
      { value: "token", label: "Access token", hint: "ThingsBoard's default" },
      { value: "user", label: "MQTT user name, password, client id" },
      ...(tls ? [{ value: "certificate", label: "TLS client certificate (X.509)" }] : []),
      { value: "provisioning", label: "None yet: ask the platform for some (provisioning)" },
    ],
  });
  switch (kind) {
    case "user":
      return await askUser(interview);
    case "certificate":
      return await askCertificate(interview, cwd);
    case "provisioning":
      return await askProvisioning(interview, tls);
    default: {
      const message = wizardText("security", "accessToken");
      const variable = "TB_GW_ACCESS_TOKEN";
      return { kind: "token", token: await interview.secret({ flag: "token", message, variable }) };
    }
  }
}

/** The kind whose options are on the command line. */
function impliedKind(interview: Interview): string {
  if (interview.given("username", "client-id")) {
    return "user";
  }
  if (interview.given("cert", "key")) {
    return "certificate";
  }
  return interview.given("provision-key") ? "provisioning" : "token";
}

async function askUser(interview: Interview): Promise<CredentialAnswers> {
  const username = await interview.text({ flag: "username", message: "MQTT user name" });
  const password = await interview.secret({
    flag: "password",
    message: "MQTT password (empty: none)",
    variable: "TB_GW_PASSWORD",
    optional: true,
  });
  const clientId = await interview.text({
    flag: "client-id",
    message: "MQTT client id (empty: the gateway makes one up)",
    fallback: "",
  });
  return { kind: "user", username, password, clientId };
}

async function askCertificate(interview: Interview, cwd: string): Promise<CredentialAnswers> {
  const check = fileProblem(cwd);
  const cert = await interview.text({
    flag: "cert",
    message: "PEM file of the client certificate",
    check,
  });
  const key = await interview.text({ flag: "key", message: "PEM file of its private key", check });
  return { kind: "certificate", cert: absolute(cert, cwd), key: absolute(key, cwd) };
}

async function askProvisioning(interview: Interview, tls: boolean): Promise<CredentialAnswers> {
  const deviceKey = await interview.text({
    flag: "provision-key",
    message: "Provision device key (in the device profile)",
  });
  const deviceSecret = await interview.secret({
    flag: "provision-secret",
    message: "Provision device secret",
  });
  const deviceName = await interview.text({
    flag: "device-name",
    message: "Name of the gateway's device (empty: “Gateway” and five letters)",
    fallback: "",
  });
  const type = await interview.choose({
    flag: "provision-type",
    message: "Which credentials are wanted?",
    fallback: "ACCESS_TOKEN",
    choices: [
      { value: "ACCESS_TOKEN", label: "Access token" },
      { value: "MQTT_BASIC", label: "MQTT user name and password" },
      ...(tls ? [{ value: "X509_CERTIFICATE", label: "Certificate" }] : []),
    ],
  });
  return { kind: "provisioning", deviceKey, deviceSecret, deviceName, type };
}

/** The question that the schema has for a field of `thingsboard`. */
function wizardText(...path: readonly string[]): string {
  let schema: v.GenericSchema | undefined = gatewayConfig;
  for (const key of ["thingsboard", ...path]) {
    schema = schema === undefined ? undefined : fieldsOf(schema, {})(key);
  }
  const text = schema === undefined ? undefined : metadataOf(schema)["wizard"];
  return typeof text === "string" ? text : path.join(".");
}

function hostProblem(text: string): string | undefined {
  const { issues } = parseHosts(text, 1883);
  return hasReference(text) ? undefined : issues.find(isError)?.message;
}

function isError({ severity }: { readonly severity: string }): boolean {
  return severity === "error";
}

/** People copy addresses from the browser: `https://thingsboard.cloud/` is the host `thingsboard.cloud`. */
function withoutScheme(text: string): string {
  return text.replace(/^[a-z]+:\/\//i, "").replace(/\/$/, "");
}

function portProblem(text: string): string | undefined {
  const port = Number(text);
  return Number.isInteger(port) && port >= 1 && port <= 65_535
    ? undefined
    : "must be a whole number from 1 to 65535";
}

/** Whether a PEM file is there; a reference is looked up later. */
function fileProblem(cwd: string): Check {
  return (text) => {
    if (text === "" || hasReference(text)) {
      return undefined;
    }
    const file = resolve(cwd, text);
    if (!existsSync(file)) {
      return `there is no file ${file}`;
    }
    try {
      return readFileSync(file, "utf8").includes("-----BEGIN ")
        ? undefined
        : `${file} is no PEM file: it must begin with "-----BEGIN"`;
    } catch {
      return `${file} cannot be read`;
    }
  };
}

function absolute(text: string, cwd: string): string {
  return text === "" || isReference(text) ? text : resolve(cwd, text);
}
