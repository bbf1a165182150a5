import { chmod, readFile, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import type { ConnectorHost } from "#sdk/connector";
import type { Library } from "./library.ts";

/** A certificate with the certificates of its issuers, and its key. */
export interface KeyPair {
  readonly chain: readonly Buffer[];
  readonly key: ReturnType<Library["crypto_utils"]["coercePEMorDerToPrivateKey"]>;
  readonly applicationUri: string;
}

const VALIDITY_DAYS = 3650;

/**
 * The certificate of the connector itself: made at first use and kept in its data directory, so that a server has to trust it
 * only once. `uri` is its ApplicationUri; another one makes another certificate.
 */
export async function ownCertificate(
  uri: string | undefined,
  host: ConnectorHost,
  library: Library,
): Promise<KeyPair> {
  const certificateFile = join(host.dataDir, "own.crt");
  const keyFile = join(host.dataDir, "own.key");
  const applicationUri = uri ?? `urn:${hostname()}:tbgw:${host.id}`;
  const kept = await readKeyPair(certificateFile, keyFile, library).catch(() => undefined);
  if (kept !== undefined && (uri === undefined || kept.applicationUri === uri)) {
    return kept;
  }
  const { certificate, key } = await makePem(applicationUri, host.clock, library);
  await writeFile(keyFile, key, { mode: 0o600 });
  await chmod(keyFile, 0o600);
  await writeFile(certificateFile, certificate, { mode: 0o600 });
  host.log.info("A certificate was made; a server with security has to trust it", {
    certificate: certificateFile,
    applicationUri,
  });
  return await readKeyPair(certificateFile, keyFile, library);
}

/** A certificate that is kept nowhere. */
export async function makeCertificate(
  applicationUri: string,
  clock: Clock,
  library: Library,
): Promise<KeyPair> {
  const { certificate, key } = await makePem(applicationUri, clock, library);
  const { convertPEMtoDER, coercePEMorDerToPrivateKey } = library.crypto_utils;
  const chain = [convertPEMtoDER(certificate)];
  return { chain, key: coercePEMorDerToPrivateKey(key), applicationUri };
}

async function makePem(
  applicationUri: string,
  clock: Clock,
  library: Library,
): Promise<{ readonly certificate: string; readonly key: string }> {
  const crypto = library.crypto_utils;
  const privateKey = await crypto.generatePrivateKey(2048);
  const { cert: certificate } = await crypto.createSelfSignedCertificate({
    privateKey,
    subject: "/CN=tbgw",
    applicationUri,
    dns: [hostname()],
    validity: VALIDITY_DAYS,
    notBefore: new Date(clock.now()),
    purpose: crypto.CertificatePurpose.ForApplication,
  });
  const { privPem } = await crypto.privateKeyToPEM(privateKey);
  return { certificate, key: privPem };
}

/** Reads a certificate and its key, each PEM or DER. @throws Error naming the file that cannot be read */
export async function readKeyPair(
  certificateFile: string,
  keyFile: string,
  library: Library,
): Promise<KeyPair> {
  const chain = await readCertificates(certificateFile, library);
  const bytes = await readFile(keyFile);
  const crypto = library.crypto_utils;
  const key = crypto.coercePEMorDerToPrivateKey(isPem(bytes) ? bytes.toString("utf8") : bytes);
  return { chain, key, applicationUri: applicationUriOf(chain[0], library) ?? "" };
}

/** The certificates of a file, PEM or DER. @throws Error when it cannot be read or holds none */
export async function readCertificates(file: string, library: Library): Promise<readonly Buffer[]> {
  const bytes = await readFile(file);
  const { convertPEMtoDER, split_der: splitDer } = library.crypto_utils;
  const found = isPem(bytes)
    ? [
        ...bytes
          .toString("utf8")
          .matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g),
      ].map(([pem]) => convertPEMtoDER(pem))
    : splitDer(bytes);
  if (found.length === 0) {
    throw new Error(`${file} holds no certificate`);
  }
  return found;
}

/** The ApplicationUri in a certificate (OPC UA Part 6 §6.2.2). */
function applicationUriOf(certificate: Buffer | undefined, library: Library): string | undefined {
  if (certificate === undefined) {
    return undefined;
  }
  const { extensions } = library.crypto_utils.exploreCertificate(certificate).tbsCertificate;
  const names: unknown = extensions?.subjectAltName;
  const uris: unknown =
    typeof names === "object" && names !== null
      ? Reflect.get(names, "uniformResourceIdentifier")
      : undefined;
  const first: unknown = Array.isArray(uris) ? uris[0] : undefined;
  return typeof first === "string" ? first : undefined;
}

function isPem(bytes: Buffer): boolean {
  return bytes.includes("-----BEGIN");
}
