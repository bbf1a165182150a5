import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { type ConnectionOptions, getCACertificates } from "node:tls";
import { TransientError } from "#sdk/errors";
import type { TlsSettings } from "./settings.ts";

/**
 * What a TLS connection to `host` needs: TLS 1.2 or later, verified against `caPath`, else the certificates of the operating
 * system and the run time. Files are read on each call, so that a renewed certificate counts from the next connection on.
 * @throws TransientError when a file cannot be read: it may be put right while the gateway runs.
 */
export async function tlsOptions(settings: TlsSettings, host: string): Promise<ConnectionOptions> {
  const [ca, cert, key] = await Promise.all([
    readPem(settings.caPath, "CA certificate"),
    readPem(settings.certPath, "client certificate"),
    readPem(settings.keyPath, "client key"),
  ]);
  return {
    minVersion: "TLSv1.2",
    rejectUnauthorized: !settings.insecure,
    ca: ca ?? systemCertificates(),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
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
    throw new TransientError(`Cannot read the ${what} ${path}`, { cause: error });
  }
}
