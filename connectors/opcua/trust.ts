import type { Library } from "./library.ts";

/** What decides about the certificate of a server. */
export interface Trust {
  /** Certificates of servers, and of authorities that issue them. */
  readonly given: readonly Buffer[];
  /** Without any of them every certificate is taken. */
  readonly acceptUnknown: boolean;
  readonly nowMs: number;
  readonly library: Library;
}

/** Why the certificate of a server must not be trusted; `undefined` when it may be. */
export function serverCertificateProblem(
  certificate: Buffer,
  { given, acceptUnknown, nowMs, library }: Trust,
): string | undefined {
  if (acceptUnknown) {
    return undefined;
  }
  const crypto = library.crypto_utils;
  const thumbprint = crypto.makeSHA1Thumbprint(certificate).toString("hex");
  if (given.some((one) => one.equals(certificate))) {
    return undefined;
  }
  const name = `The certificate of the server (SHA-1 ${thumbprint})`;
  const issued = given.some((issuer) => {
    const constraints =
      crypto.exploreCertificate(issuer).tbsCertificate.extensions?.basicConstraints;
    return constraints?.cA === true && crypto.verifyCertificateSignature(certificate, issuer);
  });
  if (!issued) {
    return `${name} is not trusted: give it as "serverCertificateFile" or its issuer as "caCert"`;
  }
  const { validity } = crypto.exploreCertificate(certificate).tbsCertificate;
  return nowMs < validity.notBefore.getTime() || nowMs > validity.notAfter.getTime()
    ? `${name} is valid from ${validity.notBefore.toISOString()} to ${validity.notAfter.toISOString()}`
    : undefined;
}
