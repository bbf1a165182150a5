import type { TlsSettings } from "#sdk/tls";
import type { BrokerConfig } from "./broker-config.ts";

/**
 * How the connection is secured, `undefined` for plain TCP. TLS is on with `type: certificates`, `tls: true`, or the older key
 * `caCert`.
 */
export function tlsSettings(security: BrokerConfig["security"]): TlsSettings | undefined {
  const { type, tls, caCert, cert, privateKey } = security;
  if (type !== "certificates" && !tls && caCert === undefined) {
    return undefined;
  }
  const caPath = textOf(security.pathToCACert) ?? textOf(caCert);
  return {
    caPath,
    certPath: textOf(security.pathToClientCert) ?? textOf(cert),
    keyPath: textOf(security.pathToPrivateKey) ?? textOf(privateKey),
    passphrase: textOf(security.privateKeyPassphrase),
    skip: !security.insecure ? undefined : caPath === undefined ? "all" : "name",
  };
}

/** Configuration editors write an empty text for "none". */
function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
