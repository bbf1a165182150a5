import type { BrokerConfig } from "./broker-config.ts";
import type { TlsSettings } from "./socket.ts";

/**
 * How the connection is secured, `undefined` for plain TCP. TLS is on with `type: certificates`, `tls: true`, or the older key
 * `caCert`.
 */
export function tlsSettings(security: BrokerConfig["security"]): TlsSettings | undefined {
  const { type, tls, caCert, cert, privateKey } = security;
  if (type !== "certificates" && !tls && caCert === undefined) {
    return undefined;
  }
  return {
    caPath: pathOf(security.pathToCACert) ?? pathOf(caCert),
    certPath: pathOf(security.pathToClientCert) ?? pathOf(cert),
    keyPath: pathOf(security.pathToPrivateKey) ?? pathOf(privateKey),
    passphrase: security.privateKeyPassphrase,
    insecure: security.insecure,
  };
}

/** Configuration editors write an empty text for "none". */
function pathOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
