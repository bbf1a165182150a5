import type { Library } from "./library.ts";

/** A certificate of a server, or of an authority that issues them, and the file it is from. */
export interface GivenCertificate {
  readonly certificate: Buffer;
  readonly file: string;
}

/** What decides about the certificate of a server. */
export interface Trust {
  readonly given: readonly GivenCertificate[];
  /** Every certificate is taken. */
  readonly acceptUnknown: boolean;
  /** Where the server is: `opc.tcp://host:port/path`. */
  readonly url: string;
  readonly nowMs: number;
  readonly library: Library;
}

/** Why the certificate of a server must not be trusted, and what to do about it; `undefined` when it may be. */
export function serverCertificateProblem(certificate: Buffer, trust: Trust): string | undefined {
  const { given, acceptUnknown, url, nowMs, library } = trust;
  // Whoever names this very certificate means it, however old it is and wherever it is from.
  if (acceptUnknown || given.some((one) => one.certificate.equals(certificate))) {
    return undefined;
  }
  const crypto = library.crypto_utils;
  const thumbprint = crypto.makeSHA1Thumbprint(certificate).toString("hex");
  const name = `The certificate of the server (SHA-1 ${thumbprint})`;
  const issuer = given.find((one) => isIssuer(one.certificate, certificate, library));
  if (issuer === undefined) {
    return given.length === 0
      ? `${name} is not trusted: give it as "serverCertificateFile" or its issuer as "caCert"`
      : `${name} is not trusted: it is neither in ${filesOf(given)} nor issued by what is there; put it into "serverCertificateFile" if it is the right server`;
  }
  const pin = `or give this certificate itself as "serverCertificateFile"`;
  const { validity, extensions } = crypto.exploreCertificate(certificate).tbsCertificate;
  if (nowMs < validity.notBefore.getTime() || nowMs > validity.notAfter.getTime()) {
    return `${name}, issued by ${issuer.file}, is valid from ${validity.notBefore.toISOString()} to ${validity.notAfter.toISOString()}: renew it on the server, check the clock, ${pin}`;
  }
  const hosts = hostsOf(extensions?.subjectAltName);
  const host = hostOf(url);
  return hosts.includes(host)
    ? undefined
    : `${name}, issued by ${issuer.file}, is for ${hosts.join(", ") || "no host"}, not for ${host}: use one of its names in "url", ${pin}`;
}

function isIssuer(issuer: Buffer, certificate: Buffer, library: Library): boolean {
  const crypto = library.crypto_utils;
  const constraints = crypto.exploreCertificate(issuer).tbsCertificate.extensions?.basicConstraints;
  return constraints?.cA === true && crypto.verifyCertificateSignature(certificate, issuer);
}

function filesOf(given: readonly GivenCertificate[]): string {
  return [...new Set(given.map(({ file }) => file))].join(" and ");
}

/** `opc.tcp://[::1]:4840/x` -> `::1`. */
function hostOf(url: string): string {
  const [, bracketed, plain = ""] = /^[a-z.]+:\/\/(?:\[([^\]]*)\]|([^:/]*))/i.exec(url) ?? [];
  return canonical(bracketed ?? plain);
}

/** The names and addresses a certificate is for. */
function hostsOf(names: unknown): readonly string[] {
  const member = (name: string): readonly string[] => {
    const list: unknown = names instanceof Object ? Reflect.get(names, name) : undefined;
    return Array.isArray(list) ? list.map(String) : [];
  };
  return [...member("dNSName").map(canonical), ...member("iPAddress").map(addressOf)];
}

/** `7f000001` -> `127.0.0.1`; 16 bytes make an IPv6 address. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  return bytes.length === 4
    ? [...bytes].join(".")
    : canonical((hex.match(/.{4}/g) ?? []).join(":"));
}

/** Lower case; an IPv6 address in its shortest form. */
function canonical(host: string): string {
  const address = `http://[${host}]`;
  return host.includes(":") && URL.canParse(address)
    ? new URL(address).hostname.slice(1, -1)
    : host.toLowerCase();
}
