/** How the gateway proves who it is. */
export type Credentials =
  | { readonly kind: "accessToken"; readonly accessToken: string }
  | {
      readonly kind: "usernamePassword";
      readonly username: string | undefined;
      readonly password: string | undefined;
      readonly clientId: string | undefined;
    }
  | { readonly kind: "certificate" };

/** Paths are absolute and readable; `undefined` means the system's certificate store, or no client certificate. */
export interface TlsSettings {
  readonly caPath: string | undefined;
  readonly certPath: string | undefined;
  readonly keyPath: string | undefined;
  /** Skips the check of the host name and chain; the only way to do so. */
  readonly insecure: boolean;
}

/** How to reach the platform: what `thingsboard` in the configuration comes to. Plain data, so that it can cross a thread. */
export interface SessionSettings {
  /** Tried in turn, for ever. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly keepAliveSeconds: number;
  readonly credentials: Credentials;
  /** `undefined`: plain TCP. */
  readonly tls: TlsSettings | undefined;
  /** Upper bound of one publish in bytes; `undefined`: what the server says, 65,536 until then. */
  readonly maxPayloadBytes: number | undefined;
  /** Publishes in flight, 1 to 99; 16 when absent. What the server allows goes before it. */
  readonly maxInFlight?: number;
}
