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

/** What the gateway asks the platform for when it has no credentials yet. `undefined` fields are made up at random. */
export interface ProvisioningRequest {
  readonly deviceKey: string;
  readonly deviceSecret: string;
  readonly deviceName: string | undefined;
  readonly wanted:
    | { readonly kind: "accessToken"; readonly accessToken: string | undefined }
    | {
        readonly kind: "usernamePassword";
        readonly clientId: string | undefined;
        readonly username: string | undefined;
        readonly password: string | undefined;
      }
    | { readonly kind: "certificate"; readonly caCert: string | undefined };
}

/** No credentials yet: the first connection asks for them and saves them in `dataDir`. */
export interface Unprovisioned {
  readonly kind: "provisioning";
  readonly request: ProvisioningRequest;
  /** Absolute; gets `.credentials`, and `cert.pem` with `key.pem` when a certificate is the credential. */
  readonly dataDir: string;
}

/** Paths are absolute and readable; `undefined` means the system's certificate store, or no client certificate. */
export interface TlsSettings {
  readonly caPath: string | undefined;
  readonly certPath: string | undefined;
  readonly keyPath: string | undefined;
  /** Skips the check of the host name and chain; the only way to do so. */
  readonly insecure: boolean;
  /** How often the certificate files are checked for their end, and how long before it that is said. Absent: never. */
  readonly expiry?: { readonly checkEveryMs: number; readonly warnDays: number };
}

/** Rate limits as texts `count:seconds,…` as ThingsBoard writes them; an empty text is no limit. */
export interface LimitTexts {
  readonly messages: string;
  readonly telemetryMessages: string;
  readonly telemetryDataPoints: string;
}

/** Limits of the gateway's own device, and of all devices behind it together. */
export interface LimitPair {
  readonly own: LimitTexts;
  readonly devices: LimitTexts;
}

/** How fast to send. Plain data. */
export interface RateSettings {
  /** Part of every limit that is used, in percent: 1 to 100. */
  readonly percentage: number;
  /** What holds until the server tells its own limits. */
  readonly initial: LimitPair;
  /** Upper bounds whatever the server says: the limits that a person has configured. */
  readonly bounds: LimitPair;
}

/** How to reach the platform: what `thingsboard` in the configuration comes to. Plain data, so that it can cross a thread. */
export interface SessionSettings {
  /** Tried in turn, for ever. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly keepAliveSeconds: number;
  readonly credentials: Credentials | Unprovisioned;
  /** `undefined`: plain TCP. */
  readonly tls: TlsSettings | undefined;
  /** Upper bound of one publish in bytes; `undefined`: what the server says, 65,536 until then. */
  readonly maxPayloadBytes: number | undefined;
  /** Most data publishes in flight, 1 to 98; 32 when absent. What the server allows goes before it. */
  readonly maxInFlight?: number;
  /** HTTP proxy that all connections go through (CONNECT, RFC 9110 §9.3.6). It looks the names of the hosts up. */
  readonly proxy?: { readonly host: string; readonly port: number };
  /** 80 % of what the server tells when absent. */
  readonly rates?: RateSettings;
}
