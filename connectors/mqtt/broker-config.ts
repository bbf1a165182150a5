import * as v from "valibot";
import { field, optional, required } from "#sdk/config";

/** A whole number, also as text: `"1883"`. */
export function wholeNumber(min: number, max: number) {
  return v.pipe(
    v.union([v.number(), v.pipe(v.string(), v.regex(/^\s*\d+\s*$/), v.transform(Number))]),
    v.integer(),
    v.minValue(min),
    v.maxValue(max),
  );
}

/** QoS 0, 1 or 2, also as text. */
export const qosLevel = v.pipe(
  wholeNumber(0, 2),
  v.transform((value): 0 | 1 | 2 => (value === 0 ? 0 : value === 1 ? 1 : 2)),
);

const protocolVersion = v.pipe(
  wholeNumber(3, 5),
  v.transform((value): 3 | 4 | 5 => (value === 3 ? 3 : value === 4 ? 4 : 5)),
);

const retainHandling = v.pipe(
  wholeNumber(0, 2),
  v.transform((value): 0 | 1 | 2 => (value === 0 ? 0 : value === 1 ? 1 : 2)),
);

const securityType = v.pipe(
  v.string(),
  v.toLowerCase(),
  v.picklist(["none", "anonymous", "basic", "certificates"]),
);

/** Largest value of a four byte integer; as session expiry it means "never" (MQTT 5 §3.1.2.11.2). */
const MAX_UINT32 = 4_294_967_295;

/** `broker.security`. */
const security = v.looseObject({
  type: field(securityType, "none", {
    doc: "`anonymous`, `basic` (user name and password) or `certificates` (TLS).",
    wizard: "How does the broker check who connects?",
  }),
  username: optional(v.string(), {
    doc: "Sent whenever it is there, whatever `type` says.",
    reference: true,
  }),
  password: optional(v.string(), { doc: "Password of the user.", secret: true, reference: true }),
  tls: field(v.boolean(), false, {
    doc: "TLS also without `type: certificates`: with a user name, or anonymous.",
  }),
  pathToCACert: optional(v.string(), {
    doc: "PEM file of the certificate authority. Without one the operating system's list decides.",
    reference: true,
  }),
  pathToClientCert: optional(v.string(), {
    doc: "PEM file of the client certificate, with its chain.",
    reference: true,
  }),
  pathToPrivateKey: optional(v.string(), {
    doc: "PEM file of the key of the client certificate.",
    reference: true,
  }),
  privateKeyPassphrase: optional(v.string(), {
    doc: "Passphrase of an encrypted key.",
    secret: true,
    reference: true,
  }),
  insecure: field(v.boolean(), false, {
    doc: "With a CA: accept any host name. Without one: accept any certificate. Do not use it over a network you do not trust.",
  }),
  caCert: optional(v.unknown(), {
    doc: "Older name of `pathToCACert`. Its presence switches TLS on.",
    reference: true,
  }),
  cert: optional(v.unknown(), { doc: "Older name of `pathToClientCert`.", reference: true }),
  privateKey: optional(v.unknown(), { doc: "Older name of `pathToPrivateKey`.", reference: true }),
});

/** `broker`: where the broker is and how to talk to it. */
export const brokerConfig = v.looseObject({
  name: optional(v.string(), { doc: "A name for people. It has no effect.", ignored: true }),
  host: required(v.pipe(v.string(), v.trim(), v.nonEmpty("must name the broker's host")), {
    doc: "Host name or address of the broker.",
    reference: true,
    wizard: "Host of the MQTT broker?",
    examples: ["127.0.0.1"],
  }),
  port: field(wholeNumber(1, 65_535), 1883, {
    doc: "TCP port. It stays 1883 when TLS is on.",
    reference: true,
    wizard: "Port of the broker?",
  }),
  version: field(protocolVersion, 5, { doc: "3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0." }),
  clientId: optional(v.string(), {
    doc: "Identifies the gateway at the broker. Default: made from the connector's id, the same at each start.",
    reference: true,
  }),
  keepAlive: field(wholeNumber(0, 65_535), 60, {
    doc: "Longest silence before the link is tested. 0 switches the test off.",
    unit: "s",
  }),
  cleanSession: field(v.boolean(), true, {
    doc: "Versions 3 and 4: forget the session at disconnect. With `true`, messages published while the gateway is away are lost.",
  }),
  cleanStart: field(v.boolean(), true, {
    doc: "Version 5: begin without what an earlier session left. `false` with a `sessionExpiryInterval` keeps messages while the gateway is away.",
  }),
  sessionExpiryInterval: field(wholeNumber(0, MAX_UINT32), 0, {
    doc: "Version 5: how long the broker keeps the session after a disconnect.",
    unit: "s",
  }),
  retainHandling: field(retainHandling, 1, {
    doc: "Version 5: retained messages are sent 0 at each subscription, 1 only when it did not exist, 2 never.",
  }),
  security: field(security, {}, { doc: "User name, password, TLS." }),
  maxMessageNumberPerWorker: field(v.unknown(), 10, {
    doc: "There are no workers: messages are converted in order as they arrive.",
    ignored: true,
  }),
  maxNumberOfWorkers: field(v.unknown(), 100, {
    doc: "There are no workers.",
    ignored: true,
  }),
  maxMessageQueue: field(v.unknown(), 1_000_000_000, {
    doc: "The queue is bounded by what the broker may send unacknowledged.",
    ignored: true,
  }),
  maxProcessingMessageQueue: field(v.unknown(), 1_000_000_000, {
    doc: "The queue is bounded by what the broker may send unacknowledged.",
    ignored: true,
  }),
  sendDataOnlyOnChange: optional(v.unknown(), {
    doc: 'Older switch: `true` stands for `reportStrategy: {"type": "ON_CHANGE"}` of the connector.',
  }),
});

/** `broker` as `create` gets it. */
export type BrokerConfig = v.InferOutput<typeof brokerConfig>;
