import * as v from "valibot";
import { field, optional, required } from "#sdk/config";

/** A whole number, also as text: `"5000"`. */
function wholeNumber(min: number, max: number) {
  return v.pipe(
    v.union([v.number(), v.pipe(v.string(), v.regex(/^\s*\d+\s*$/), v.transform(Number))]),
    v.integer(),
    v.minValue(min),
    v.maxValue(max),
  );
}

/** Longest time a setting may ask for: a day. */
const DAY_MS = 86_400_000;

const identityType = v.pipe(
  v.string(),
  v.transform((name): "anonymous" | "username" | "certificate" => {
    const lower = name.toLowerCase();
    if (lower === "cert.pem" || lower === "certificates") {
      return "certificate";
    }
    return lower === "basic" || lower === "username" ? "username" : "anonymous";
  }),
);

const securityMode = v.picklist(["None", "Sign", "SignAndEncrypt"]);

/** `server.identity`. */
const identity = v.looseObject({
  type: field(identityType, "anonymous", {
    doc: "`anonymous`, `basic` (user name and password) or `cert.PEM` (the channel is secured with a certificate of your own).",
    wizard: "How does the server check who connects?",
  }),
  username: optional(v.string(), {
    doc: "User name. Sent whenever it is there, whatever `type` says.",
    reference: true,
  }),
  password: optional(v.pipe(v.union([v.string(), v.number()]), v.transform(String)), {
    doc: "Password of the user.",
    secret: true,
    reference: true,
  }),
  cert: optional(v.string(), {
    doc: "Application certificate, PEM or DER.",
    reference: true,
  }),
  privateKey: optional(v.string(), {
    doc: "Its private key, PEM or DER, without a passphrase.",
    reference: true,
  }),
  caCert: optional(v.string(), {
    doc: "The certificate of the server, or of the authority that issued it. Without one every server certificate is accepted.",
    reference: true,
  }),
  pathToClientCert: optional(v.string(), { doc: "Other name of `cert`.", reference: true }),
  pathToPrivateKey: optional(v.string(), { doc: "Other name of `privateKey`.", reference: true }),
  pathToCACert: optional(v.string(), { doc: "Other name of `caCert`.", reference: true }),
  mode: optional(securityMode, {
    doc: "How messages are secured with a certificate. Default: `SignAndEncrypt`.",
  }),
});

/** `server`. */
export const serverConfig = v.looseObject({
  name: optional(v.unknown(), { doc: "Not needed.", ignored: true }),
  url: required(v.pipe(v.string(), v.trim(), v.nonEmpty("must not be empty")), {
    doc: "Address of the server. `opc.tcp://` may be left out; `user:password@` is honoured.",
    examples: ["opc.tcp://10.0.0.5:4840"],
    wizard: "Address of the OPC UA server?",
    reference: true,
  }),
  uri: optional(v.string(), {
    doc: "ApplicationUri of the gateway. Default: the one in its certificate.",
  }),
  timeoutInMillis: field(wholeNumber(100, DAY_MS), 4000, {
    doc: "Longest time for an answer.",
    unit: "ms",
  }),
  sessionTimeoutInMillis: field(wholeNumber(1000, DAY_MS), 120_000, {
    doc: "How long the server keeps the session without a sign of life. The server may choose another.",
    unit: "ms",
  }),
  scanPeriodInMillis: field(wholeNumber(1, DAY_MS * 24), 3_600_000, {
    doc: "Time between two looks for devices and nodes; less than 1,000 counts as 1,000.",
    unit: "ms",
  }),
  pollPeriodInMillis: field(wholeNumber(0, DAY_MS), 5000, {
    doc: "Time between two reads without subscriptions; less than 10 counts as 10.",
    unit: "ms",
  }),
  enableSubscriptions: optional(v.boolean(), {
    doc: "The server reports changes. `false`: the gateway reads. Default: true.",
  }),
  disableSubscriptions: optional(v.boolean(), {
    doc: "The opposite of `enableSubscriptions`, which goes before it.",
  }),
  subCheckPeriodInMillis: field(wholeNumber(0, DAY_MS), 100, {
    doc: "Publishing interval that is asked for; less than 100 counts as 100.",
    unit: "ms",
  }),
  subSamplingIntervalInMillis: optional(wholeNumber(0, DAY_MS), {
    doc: "How often the server looks at a node. Default: `subCheckPeriodInMillis`.",
    unit: "ms",
  }),
  subQueueSize: field(wholeNumber(1, 10_000), 10, {
    doc: "Changes of a node the server keeps until the next publish.",
  }),
  subDataMaxBatchSize: field(wholeNumber(1, 100_000), 1000, {
    doc: "Most changes the server puts into one message: they are converted together.",
  }),
  subDataMinBatchCreationTimeMs: optional(v.unknown(), { doc: "Not needed.", ignored: true }),
  subscriptionProcessBatchSize: field(wholeNumber(1, 100_000), 2000, {
    doc: "Most monitored items created with one call; the server may allow fewer.",
  }),
  subKeepAlivePeriodInSeconds: field(wholeNumber(0, 86_400), 0, {
    doc: "Data must come at least this often: otherwise the points are read once and the subscription is built anew. 0: no such rule.",
    unit: "s",
  }),
  showMap: field(v.boolean(), false, {
    doc: "Writes every path that a look at the server passes into the log; of more than 1,000 nodes below one every 1,000th.",
  }),
  security: optional(v.string(), {
    doc: "Security policy with a certificate: `Basic256Sha256`, `Aes128_Sha256_RsaOaep`, `Aes256_Sha256_RsaPss`, or the outdated `Basic256` and `Basic128Rsa15`. Without one it has no effect, unless `securityMode` is set.",
    examples: ["Basic256Sha256"],
  }),
  securityMode: optional(securityMode, {
    doc: "Secures the channel without a certificate of your own: the gateway makes one.",
  }),
  identity: field(identity, {}, { doc: "Who connects." }),
  trustServerCertificate: field(v.boolean(), true, {
    doc: "Accepts any server certificate. `false`: only the one in `serverCertificateFile` or `caCert`.",
  }),
  serverCertificateFile: optional(v.string(), {
    doc: "Certificate of the server, PEM or DER: no other is accepted.",
    reference: true,
  }),
  badStatus: field(v.picklist(["skip", "text", "value"]), "skip", {
    doc: "A value with a bad status: left out, replaced by a text that names the status, or sent all the same.",
  }),
  pythonValueFormat: field(v.boolean(), false, {
    doc: "Arrays and texts exactly as the Python gateway writes them.",
  }),
  reconnectRetriesCount: optional(v.unknown(), {
    doc: "Not needed: the gateway never gives up.",
    ignored: true,
  }),
  reconnectBackoffInitialDelay: field(v.pipe(v.number(), v.minValue(0.1), v.maxValue(3600)), 1, {
    doc: "Pause before the second attempt to connect; the first one is made at once.",
    unit: "s",
  }),
  reconnectBackoffFactor: field(v.pipe(v.number(), v.minValue(1), v.maxValue(100)), 2, {
    doc: "Each further pause is so many times longer, up to 20 s.",
  }),
});

/** `server` as `create` gets it. */
export type ServerConfig = v.InferOutput<typeof serverConfig>;

/** Whether the server reports changes by itself. */
export function usesSubscriptions(server: ServerConfig): boolean {
  return server.enableSubscriptions ?? !(server.disableSubscriptions ?? false);
}
