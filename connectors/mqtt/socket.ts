import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  getCACertificates,
} from "node:tls";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";

/** How the connection is secured. */
export interface TlsSettings {
  readonly caPath: string | undefined;
  readonly certPath: string | undefined;
  readonly keyPath: string | undefined;
  readonly passphrase: string | undefined;
  /** With a CA: any host name; without one: any certificate. */
  readonly insecure: boolean;
}

/** Where the broker listens. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** `undefined`: plain TCP. */
  readonly tls: TlsSettings | undefined;
}

/** Longest time for the TCP connection and the TLS handshake. */
const OPEN_TIMEOUT_MS = 30_000;

/**
 * Opens a socket. With TLS it resolves only after the broker's certificate has been verified, so that no password can reach
 * a stranger. The caller owns the socket, and must keep an error listener on it.
 * @throws TransientError with the cause in words.
 */
export async function openSocket(
  endpoint: Endpoint,
  clock: Clock,
  signal: AbortSignal,
): Promise<Socket> {
  const { host, port, tls } = endpoint;
  const options = tls === undefined ? undefined : await tlsOptions(tls, host);
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket =
    options === undefined
      ? connectTcp({ host, port }, resolve)
      : connectTls({ host, port, ...options }, resolve);
  const onAbort = (): void => reject(signal.reason);
  const onClose = (): void => reject(new Error("closed by the peer during the handshake"));
  using _timer = clock.timer(OPEN_TIMEOUT_MS, () =>
    reject(new Error(`no answer within ${OPEN_TIMEOUT_MS / 1000} s`)),
  );
  socket.on("error", reject);
  socket.on("close", onClose);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await promise;
    socket.setNoDelay(true);
    return socket;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw new TransientError(openFailure(error, endpoint), { cause: error });
  } finally {
    signal.removeEventListener("abort", onAbort);
    socket.off("close", onClose);
    // The error listener stays: an error without one would end the process.
  }
}

/** Files are read at each connection, so that a renewed certificate counts from the next one on. */
async function tlsOptions(settings: TlsSettings, host: string): Promise<ConnectionOptions> {
  const { caPath, certPath, keyPath, passphrase, insecure } = settings;
  const [ca, cert, key] = await Promise.all([
    readPem(caPath, "CA certificate"),
    readPem(certPath, "client certificate"),
    readPem(keyPath, "client key"),
  ]);
  checkCertificate(ca, caPath, "CA certificate");
  checkCertificate(cert, certPath, "client certificate");
  const identity = {
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
  };
  try {
    createSecureContext(identity);
  } catch (error) {
    throw unusable(`client key ${keyPath} with the client certificate ${certPath}`, error);
  }
  return {
    ...identity,
    minVersion: "TLSv1.2",
    ca: ca ?? systemCertificates(),
    rejectUnauthorized: !(insecure && ca === undefined),
    checkServerIdentity: (_name, certificate) =>
      insecure ? undefined : checkServerIdentity(host, certificate),
    // An address is no server name (RFC 6066 §3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
}

let cached: readonly string[] | undefined;

/** The operating system's certificates with those of the run time, each once. */
function systemCertificates(): string[] {
  cached ??= [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
  return [...cached];
}

async function readPem(path: string | undefined, what: string): Promise<Buffer | undefined> {
  if (path === undefined) {
    return undefined;
  }
  try {
    return await readFile(path);
  } catch (error) {
    throw unusable(`${what} ${path}`, error);
  }
}

function checkCertificate(pem: Buffer | undefined, path: string | undefined, what: string): void {
  if (pem === undefined) {
    return;
  }
  try {
    // The constructor reads the first certificate of the file, and throws when there is none.
    assertUsed(new X509Certificate(pem));
  } catch (error) {
    throw unusable(`${what} ${path}`, error);
  }
}

function assertUsed(certificate: X509Certificate): void {
  if (certificate.fingerprint256 === "") {
    throw new Error("the certificate has no fingerprint");
  }
}

/** A file may be put right while the gateway runs, but nobody does that within seconds. */
function unusable(what: string, cause: unknown): TransientError {
  return new TransientError(`Cannot use the ${what}`, { cause, retryAfterMs: 60_000 });
}

const CODES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens on that port",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  ENOTFOUND: "the host name is unknown",
  EAI_AGAIN: "the name server does not answer",
  ETIMEDOUT: "no answer",
};

function openFailure(error: unknown, { host, port, tls }: Endpoint): string {
  const target = `Cannot connect to ${host}:${port}`;
  const code =
    typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  const known = CODES[code];
  if (known !== undefined) {
    return `${target}: ${known}`;
  }
  return tls === undefined ? target : `${target} over TLS`;
}
