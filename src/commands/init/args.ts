import { connectorTypes } from "../../connector/registry.ts";
import { ASSISTANTS } from "./connector-questions.ts";

/** An option as citty has it. */
type Arg =
  | { readonly type: "boolean"; readonly description: string; readonly alias?: string }
  | { readonly type: "string"; readonly description: string; readonly valueHint: string };

const text = (description: string, valueHint: string): Arg => ({
  type: "string",
  description,
  valueHint,
});
const yesNo = (description: string): Arg => ({ type: "boolean", description });

const GENERAL: Readonly<Record<string, Arg>> = {
  config: text("Directory to write to (default: /etc/tbgw for root, else ./config)", "DIR"),
  data: text("Data directory the gateway will have (default: as run)", "DIR"),
  import: text("Start from the configuration folder of a Python gateway", "DIR"),
  yes: { type: "boolean", alias: "y", description: "Take the defaults without asking" },
  "dry-run": yesNo("Show the result and write nothing"),
  existing: text("A configuration is there: add, replace, keep", "WHAT"),
  overwrite: yesNo("Replace other files that are there (they stay as .bak)"),
  extensions: text("Folder with extensions, as for run", "DIR"),
  "allow-insecure-extensions": yesNo("Load extensions that everybody may write to"),
  "with-errors": yesNo("Write also what has errors"),
  write: yesNo("Write without asking; --no-write ends before"),
  test: yesNo("--no-test: do not connect to the platform"),
  probe: yesNo("--no-probe: do not look at devices, take --TYPE-values"),
  service: yesNo("Install the service (--no-service: do not ask)"),
};

const PLATFORM: Readonly<Record<string, Arg>> = {
  host: text("Host of the platform", "HOST"),
  port: text("MQTT port (default 1883, with TLS 8883)", "N"),
  tls: yesNo("TLS on that port; the server's certificate is verified"),
  ca: text("PEM file of the authority of the server's certificate", "FILE"),
  insecure: yesNo("Accept any certificate: the connection can be intercepted"),
  credentials: text("token, user, certificate or provisioning", "KIND"),
  token: text("Access token, or a reference such as ${env:TB_TOKEN}", "TEXT"),
  "token-file": text("File with the access token", "FILE"),
  username: text("MQTT user name", "NAME"),
  password: text("MQTT password, or a reference", "TEXT"),
  "password-file": text("File with the MQTT password", "FILE"),
  "client-id": text("MQTT client id", "TEXT"),
  cert: text("PEM file of the client certificate", "FILE"),
  key: text("PEM file of its private key", "FILE"),
  "provision-key": text("Provision device key", "TEXT"),
  "provision-secret": text("Provision device secret, or a reference", "TEXT"),
  "provision-secret-file": text("File with the provision device secret", "FILE"),
  "provision-type": text("ACCESS_TOKEN, MQTT_BASIC or X509_CERTIFICATE", "TYPE"),
  "device-name": text("Name of the gateway's device when it is provisioned", "NAME"),
  "after-test": text("After a failed test: anyway", "WHAT"),
  storage: text("durable, relaxed or memory", "KIND"),
  "storage-size": text("Disk it may take (default: 1GiB, at most 80 % of what is free)", "SIZE"),
  "storage-days": text("Days after which a value is dropped (default 7)", "N"),
  connector: text(
    "What to add: modbus, opcua, mqtt, ble, serial; several with commas; none",
    "TYPES",
  ),
};

/** Options that each type of connector has beside those of its probe. */
function assistantArgs(type: string): Readonly<Record<string, Arg>> {
  return {
    [`${type}-name`]: text("Name of the connector", "NAME"),
    [`${type}-device`]: text("Name of the device, with --" + type + "-values", "NAME"),
    [`${type}-values`]: text(VALUES[type] ?? "Values, without looking at the device", "LIST"),
    [`${type}-file`]: text("Take this connector file as it is", "FILE"),
    [`${type}-proposal`]: text("What was found: accept (default), skip", "WHAT"),
  };
}

const VALUES: Readonly<Record<string, string>> = {
  modbus: "Values, without looking: temperature=16int@0/10,flow=32float@12:4",
  opcua: "Values, without looking: temperature=ns=2;i=11",
  mqtt: "Members of the messages, without listening: temperature,humidity",
  ble: "Values, without looking: battery=2A19@uint8",
  serial: "Values, without listening: temperature=float@0-4,humidity=float@5-9",
};

const MORE: Readonly<Record<string, Arg>> = {
  "opcua-endpoint": text("None, or POLICY/MODE of one of the server's endpoints", "WHAT"),
  "opcua-password-file": text("File with the password of the user", "FILE"),
  "mqtt-password-file": text("File with the password of the user", "FILE"),
  "ble-mac": text("Address of the device, with --ble-values", "MAC"),
};

/** Every option of `tbgw init`; what a probe of a connector takes is there as `--TYPE-OPTION`. */
export async function initArgs(): Promise<Record<string, Arg>> {
  const args: Record<string, Arg> = { ...GENERAL, ...PLATFORM };
  for (const { type } of ASSISTANTS) {
    const probeArgs = (await connectorTypes[type]?.())?.default.probeArgs ?? {};
    for (const [name, { type: kind, description, valueHint }] of Object.entries(probeArgs)) {
      if (name !== "endpoints") {
        args[`${type}-${name}`] =
          kind === "boolean" ? yesNo(description) : text(description, valueHint ?? "TEXT");
      }
    }
    Object.assign(args, assistantArgs(type));
  }
  return { ...args, ...MORE };
}
