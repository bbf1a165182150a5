import { X509Certificate } from "node:crypto";
import { TLSSocket } from "node:tls";
import { type Credentials, type Device, type Registry, sha3 } from "./model.ts";
import { REASON } from "./packets.ts";

/** What a client presents in CONNECT. An empty text counts as absent. */
export interface Presented {
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
  /** Certificates of the TLS client in DER, leaf first; empty without. */
  readonly certificates: readonly Buffer[];
}

/** A refused CONNECT. */
export interface Refusal {
  /** Return code of MQTT 3.1 and 3.1.1. */
  readonly returnCode: number;
  /** Reason code of MQTT 5. */
  readonly reasonCode: number;
  /** Reason of the MQTT 5 DISCONNECT that follows. */
  readonly disconnectCode: number;
}

/** The session event was refused by a rate limit. */
export const RATE_LIMITED: Refusal = {
  returnCode: 3,
  reasonCode: REASON.CONNECTION_RATE_EXCEEDED,
  disconnectCode: REASON.MESSAGE_RATE_TOO_HIGH,
};

const NOT_AUTHORIZED: Refusal = refusal(5, REASON.NOT_AUTHORIZED);

/** Finds the device that a client may speak for, or the refusal. `nowMs` is the wall clock, for certificates. */
export function authenticate(
  registry: Registry,
  presented: Presented,
  nowMs: number,
): Device | Refusal {
  const isX509 = presented.certificates.length > 0;
  const device = isX509
    ? findByCertificate(registry, presented.certificates, nowMs)
    : findByPassword(registry, presented);
  if (device === undefined) {
    return isX509 ? NOT_AUTHORIZED : refuse(presented);
  }
  const { transport } = registry.profile(device.profile);
  if (transport !== "DEFAULT" && transport !== "MQTT") {
    const disconnectCode = isX509 ? REASON.IMPLEMENTATION_SPECIFIC : REASON.SERVER_BUSY;
    return { returnCode: 3, reasonCode: REASON.SERVER_UNAVAILABLE, disconnectCode };
  }
  return device;
}

/** Which refusal a client gets depends on what it presented, not on what was wrong. */
function refuse({ clientId, username, password }: Presented): Refusal {
  const hasName = username !== "";
  const hasPassword = password !== "";
  if (hasName !== hasPassword || (hasName && hasPassword && clientId !== "")) {
    return refusal(5, REASON.BAD_USER_NAME_OR_PASSWORD);
  }
  if (!hasName && !hasPassword && clientId.trim() !== "") {
    return refusal(2, REASON.CLIENT_IDENTIFIER_NOT_VALID);
  }
  return NOT_AUTHORIZED;
}

function refusal(returnCode: number, code: number): Refusal {
  return { returnCode, reasonCode: code, disconnectCode: code };
}

function findByPassword(registry: Registry, presented: Presented): Device | undefined {
  const { clientId, username } = presented;
  if (username === "") {
    return fitting(registry.findByCredentials(sha3(clientId)), presented);
  }
  const joined = clientId === "" ? username : `${clientId}|${username}`;
  const first = registry.findByCredentials(sha3(joined));
  const wrong = first === undefined ? "identity" : mismatch(first, presented);
  if (wrong !== "identity") {
    return wrong === undefined ? first : undefined;
  }
  const second = registry.findByCredentials(username);
  return second?.credentials?.type === "ACCESS_TOKEN" ? second : fitting(second, presented);
}

function fitting(device: Device | undefined, presented: Presented): Device | undefined {
  return device !== undefined && mismatch(device, presented) === undefined ? device : undefined;
}

/** What does not fit: only what the stored credentials name is compared. */
function mismatch(device: Device, presented: Presented): "identity" | "password" | undefined {
  const stored: Credentials | undefined = device.credentials;
  if (stored?.type !== "MQTT_BASIC") {
    return "identity";
  }
  const { clientId = "", userName = "", password = "" } = stored;
  const isOther =
    (clientId !== "" && clientId !== presented.clientId) ||
    (userName !== "" && userName !== presented.username);
  if (isOther) {
    return "identity";
  }
  return password !== "" && password !== presented.password ? "password" : undefined;
}

function findByCertificate(
  registry: Registry,
  certificates: readonly Buffer[],
  nowMs: number,
): Device | undefined {
  const [leafBytes] = certificates;
  if (leafBytes === undefined) {
    return undefined;
  }
  const leaf = new X509Certificate(leafBytes);
  if (nowMs > Date.parse(leaf.validTo) || nowMs < Date.parse(leaf.validFrom)) {
    return undefined;
  }
  const known = registry.findByCredentials(sha3(leafBytes.toString("base64")));
  return known?.credentials?.type === "X509_CERTIFICATE"
    ? known
    : provisionByChain(registry, leaf, certificates);
}

/** Profiles with the certificate-chain strategy accept any leaf under their CA certificate. */
function provisionByChain(
  registry: Registry,
  leaf: X509Certificate,
  certificates: readonly Buffer[],
): Device | undefined {
  const texts = new Set(certificates.map((bytes) => bytes.toString("base64")));
  const profile = registry.profiles().find(({ provision }) => {
    return provision?.strategy === "X509_CERTIFICATE_CHAIN" && texts.has(provision.key);
  });
  const rule = profile?.provision;
  const commonName = firstGroup(/^CN=(.*)$/m, leaf.subject);
  const name = firstGroup(new RegExp(rule?.commonNamePattern ?? "(.*)"), commonName);
  if (profile === undefined || name === "") {
    return undefined;
  }
  const isAllowed = rule?.allowCreate !== false;
  const device =
    registry.find(name) ?? (isAllowed ? registry.create(name, profile.name) : undefined);
  if (device !== undefined) {
    const certificate = leaf.raw.toString("base64");
    registry.setCredentials(device, { type: "X509_CERTIFICATE", certificate });
  }
  return device;
}

function firstGroup(pattern: RegExp, text: string): string {
  return pattern.exec(text)?.[1] ?? "";
}

/** The certificates a TLS client presented, leaf first. */
export function clientCertificates(socket: unknown): readonly Buffer[] {
  if (!(socket instanceof TLSSocket)) {
    return [];
  }
  const found: Buffer[] = [];
  let certificate = socket.getPeerCertificate(true);
  while (certificate?.raw !== undefined && !found.some((raw) => raw.equals(certificate.raw))) {
    found.push(certificate.raw);
    certificate = certificate.issuerCertificate;
  }
  return found;
}
