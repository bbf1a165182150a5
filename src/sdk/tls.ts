import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { type ConnectionOptions, checkServerIdentity, getCACertificates } from "node:tls";
import { TransientError } from "./errors.ts";

/** How a connection is secured. Paths are readable; `undefined` means the system's certificates, or no client certificate. */
export interface TlsSettings {
  readonly caPath: string | undefined;
  readonly certPath: string | undefined;
  readonly keyPath: string | undefined;
  /** Of an encrypted key. */
  readonly passphrase?: string | undefined;
  /** Skips a check of the peer's certificate: that of the name it is for, or every one. */
  readonly skip?: "name" | "all" | undefined;
}

/**
 * What a TLS connection to a peer called `name` needs: TLS 1.2 or later, verified against `caPath`, else the certificates of the
 * operating system and the run time. Files are read on each call, so that a renewed certificate counts from the next connection on.
 * @throws TransientError when a file cannot be read or used: it may be put right while the gateway runs.
 */
export async function tlsOptions(settings: TlsSettings, name: string): Promise<ConnectionOptions> {
  const { skip, passphrase } = settings;
  const [ca, cert, key] = await Promise.all([
    readPem(settings.caPath, "CA certificate"),
    readPem(settings.certPath, "client certificate"),
    readPem(settings.keyPath, "client key"),
  ]);
  checkFiles(settings, { ca, cert, key });
  return {
    minVersion: "TLSv1.2",
    rejectUnauthorized: skip !== "all",
    ca: ca ?? systemCertificates(),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
    // The name to check is the configured one also when the socket goes to an address.
    checkServerIdentity: (_name, peer) =>
      skip === undefined ? checkServerIdentity(name, peer) : undefined,
    // An address is no server name (RFC 6066 §3).
    ...(isIP(name) === 0 ? { servername: name } : {}),
  };
}

const NOT_TRUSTED =
  "The server's certificate is not from a CA that is trusted here: check the CA certificate";
const NO_TLS = "The server does not speak TLS on that port";

const FAILURES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED:
    "The server's certificate has expired: renew it, or set the clock of this machine",
  CERT_NOT_YET_VALID: "The server's certificate is not valid yet: set the clock of this machine",
  DEPTH_ZERO_SELF_SIGNED_CERT: NOT_TRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NOT_TRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NOT_TRUSTED,
  ERR_TLS_CERT_ALTNAME_INVALID:
    'The server\'s certificate is for another host name: check "host", which must be a name in the certificate',
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_SSL_UNSUPPORTED_PROTOCOL: "The server does not speak TLS 1.2 or later",
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: "The server does not speak TLS 1.2 or later",
  ECONNRESET: "The server ended the TLS handshake: check that the port is its TLS port",
};

/** What the code of a failed TLS handshake means for a person. */
export function tlsFailure(code: string): string {
  return (
    FAILURES[code] ??
    "Cannot open a trusted TLS connection: check the host name, the port and the CA certificate"
  );
}

let cached: readonly string[] | undefined;

/** The operating system's certificates with those of the run time, each once. */
function systemCertificates(): string[] {
  cached ??= [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
  return [...cached];
}

/** Names the file that is no PEM, which the TLS library would not. @throws TransientError */
function checkFiles(
  { caPath, certPath, keyPath, passphrase }: TlsSettings,
  { ca, cert, key }: Readonly<Record<"ca" | "cert" | "key", Buffer | undefined>>,
): void {
  parse(ca, `The CA certificate ${caPath} is no certificate in PEM`, certificate);
  const own = parse(
    cert,
    `The client certificate ${certPath} is no certificate in PEM`,
    certificate,
  );
  const hint = passphrase === undefined ? "" : ", or the passphrase is not its own";
  const secret = parse(key, `The client key ${keyPath} is no private key in PEM${hint}`, (pem) =>
    privateKey(pem, passphrase),
  );
  if (own !== undefined && secret !== undefined && !own.checkPrivateKey(secret)) {
    throw new TransientError(
      `The client key ${keyPath} does not belong to the client certificate ${certPath}`,
    );
  }
}

function certificate(pem: Buffer): X509Certificate {
  return new X509Certificate(pem);
}

function privateKey(pem: Buffer, passphrase: string | undefined): KeyObject {
  return createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase });
}

function parse<Parsed>(
  pem: Buffer | undefined,
  complaint: string,
  parser: (pem: Buffer) => Parsed,
): Parsed | undefined {
  try {
    return pem === undefined ? undefined : parser(pem);
  } catch (error) {
    throw new TransientError(complaint, { cause: error });
  }
}

async function readPem(path: string | undefined, what: string): Promise<Buffer | undefined> {
  if (path === undefined) {
    return undefined;
  }
  try {
    return await readFile(path);
  } catch (error) {
    throw new TransientError(`Cannot read the ${what} ${path}`, { cause: error });
  }
}
