import { createHash, randomUUID, X509Certificate } from "node:crypto";
import { RejectedError } from "#sdk/errors";
import { Series, type SeriesOptions } from "./series.ts";
import type { DataPoint, TypedValue } from "./values.ts";

/** Where an attribute lives. A device writes `client`, users write `shared`, the server itself writes `server`. */
export type Scope = "client" | "shared" | "server";

/** How a device proves who it is. */
export type Credentials =
  | { readonly type: "ACCESS_TOKEN"; readonly token: string }
  | {
      readonly type: "MQTT_BASIC";
      readonly clientId?: string;
      readonly userName?: string;
      readonly password?: string;
    }
  /** PEM text, or base64 of the DER form. */
  | { readonly type: "X509_CERTIFICATE"; readonly certificate: string };

/** How devices may register themselves in a profile. */
export interface ProvisionRule {
  readonly strategy:
    | "ALLOW_CREATE_NEW_DEVICES"
    | "CHECK_PRE_PROVISIONED_DEVICES"
    | "X509_CERTIFICATE_CHAIN";
  /** The provision key; for the certificate chain the CA certificate. */
  readonly key: string;
  /** The provision secret; unused for the certificate chain. */
  readonly secret?: string;
  /** Certificate chain: group 1 of this expression on the common name is the device name. */
  readonly commonNamePattern?: string;
  /** Certificate chain: whether an unknown device is created. Default true. */
  readonly allowCreate?: boolean;
}

/** A device profile. */
export interface DeviceProfile {
  readonly name: string;
  /** DEFAULT and MQTT let a device connect here, any other transport does not. */
  readonly transport: "DEFAULT" | "MQTT" | "COAP" | "LWM2M" | "SNMP";
  /** MQTT 3: a payload that is not JSON is acknowledged instead of ending the connection. */
  readonly sendAckOnValidationException: boolean;
  readonly telemetryTopic: string;
  readonly attributesTopic: string;
  readonly attributesSubscribeTopic: string;
  readonly provision?: ProvisionRule;
}

const DEFAULT_PROFILE: DeviceProfile = {
  name: "default",
  transport: "DEFAULT",
  sendAckOnValidationException: false,
  telemetryTopic: "v1/devices/me/telemetry",
  attributesTopic: "v1/devices/me/attributes",
  attributesSubscribeTopic: "v1/devices/me/attributes",
};

/** Facts the server keeps about the connection of a device; shown as server-scope attributes. Times in ms since 1970, 0: never. */
export interface DeviceState {
  active: boolean;
  lastConnectTime: number;
  lastDisconnectTime: number;
  lastActivityTime: number;
  inactivityAlarmTime: number;
}

/** A firmware or software package offered to a device. */
export interface OtaPackage {
  readonly title: string;
  readonly version: string;
  readonly data: Uint8Array;
}

/** A device of the platform, gateways included. */
export class Device {
  readonly id: string = randomUUID();
  name: string;
  profile: string;
  isGateway = false;
  /** Gateway only: its activity refreshes the sessions of all its children. */
  overwriteActivityTime = false;
  /** A deleted device may live on in an open session; what arrives there is lost. */
  isDeleted = false;
  credentials: Credentials | undefined;
  /** The gateway through which the device was connected last. */
  lastConnectedGateway: Device | undefined;
  readonly attributes: Readonly<Record<Scope, Map<string, TypedValue>>> = {
    client: new Map(),
    shared: new Map(),
    server: new Map(),
  };
  readonly series = new Map<string, Series>();
  readonly packages = new Map<"fw" | "sw", OtaPackage>();
  readonly claims: { readonly secretKey: string; readonly durationMs: number }[] = [];
  readonly state: DeviceState = {
    active: false,
    lastConnectTime: 0,
    lastDisconnectTime: 0,
    lastActivityTime: 0,
    inactivityAlarmTime: 0,
  };

  constructor(name: string, profile: string) {
    this.name = name;
    this.profile = profile;
  }

  /** Stores a value of a time series. */
  addPoint(point: DataPoint, options: SeriesOptions): void {
    let series = this.series.get(point.key);
    if (series === undefined) {
      series = new Series(point.key, options);
      this.series.set(series.key, series);
    }
    series.add(point);
  }
}

/** All devices, credentials and profiles of the one tenant. */
export class Registry {
  readonly #byName = new Map<string, Device>();
  readonly #credentials = new Map<string, Device>();
  readonly #profiles = new Map<string, DeviceProfile>([["default", DEFAULT_PROFILE]]);
  /** Most devices there may be; creating one more fails with "quota". */
  maxDevices = Number.POSITIVE_INFINITY;

  /** All devices in the order they were created. */
  devices(): readonly Device[] {
    return [...this.#byName.values()];
  }

  /** The device of that name, undefined when there is none. */
  find(name: string): Device | undefined {
    return this.#byName.get(name);
  }

  /** The device of that name. @throws RejectedError when there is none. */
  get(name: string): Device {
    const device = this.#byName.get(name);
    if (device === undefined) {
      throw new RejectedError(`Cannot find device "${name}" on the platform`);
    }
    return device;
  }

  /** Creates a device and, when it is missing, its profile. @throws RejectedError when the name is taken. */
  create(name: string, profile = "default"): Device {
    if (this.#byName.has(name)) {
      throw new RejectedError(`Cannot create device "${name}": the name is taken`);
    }
    const device = new Device(name, this.profile(profile).name);
    this.#byName.set(name, device);
    return device;
  }

  /** Whether one more device may be created. */
  get hasRoom(): boolean {
    return this.#byName.size < this.maxDevices;
  }

  /** Removes a device with its credentials. */
  delete(device: Device): void {
    device.isDeleted = true;
    this.#byName.delete(device.name);
    this.#dropCredentials(device);
  }

  /** Gives a device another name. @throws RejectedError when that is taken. */
  rename(device: Device, name: string): void {
    if (this.#byName.has(name)) {
      throw new RejectedError(`Cannot rename "${device.name}": "${name}" is taken`);
    }
    this.#byName.delete(device.name);
    device.name = name;
    this.#byName.set(name, device);
  }

  /**
   * Replaces the credentials of a device.
   * @throws RejectedError when another device has the same, or for a password and client id without a user name.
   */
  setCredentials(device: Device, credentials: Credentials): void {
    const id = credentialsId(credentials);
    const owner = this.#credentials.get(id);
    if (owner !== undefined && owner !== device) {
      throw new RejectedError(`Cannot set credentials of "${device.name}": already in use`);
    }
    this.#dropCredentials(device);
    device.credentials = credentials;
    this.#credentials.set(id, device);
  }

  /** Looks a device up by its credentials id. */
  findByCredentials(id: string): Device | undefined {
    return this.#credentials.get(id);
  }

  /** The profile of that name; a missing one is created with default settings. */
  profile(name: string): DeviceProfile {
    const known = this.#profiles.get(name);
    if (known !== undefined) {
      return known;
    }
    const profile = { ...DEFAULT_PROFILE, name };
    this.#profiles.set(name, profile);
    return profile;
  }

  /** Changes a profile, creating it when it is missing. */
  setProfile(name: string, settings: Partial<Omit<DeviceProfile, "name">>): void {
    this.#profiles.set(name, { ...this.profile(name), ...settings });
  }

  /** All profiles. */
  profiles(): readonly DeviceProfile[] {
    return [...this.#profiles.values()];
  }

  #dropCredentials(device: Device): void {
    if (device.credentials !== undefined) {
      this.#credentials.delete(credentialsId(device.credentials));
      device.credentials = undefined;
    }
  }
}

/** SHA3-256 in hexadecimal: how the server indexes everything but access tokens. */
export function sha3(text: string): string {
  return createHash("sha3-256").update(text).digest("hex");
}

/** Base64 of the DER form of a certificate, without line breaks. Takes PEM or base64. @throws RejectedError when it is neither. */
export function certificateText(certificate: string): string {
  if (certificate.includes("-----BEGIN")) {
    try {
      return new X509Certificate(certificate).raw.toString("base64");
    } catch (error) {
      throw new RejectedError("Cannot read certificate: not PEM", { cause: error });
    }
  }
  return certificate.replace(/\s+/g, "");
}

/** The key of credentials in the server's table. @throws RejectedError for a client id and password without a user name. */
export function credentialsId(credentials: Credentials): string {
  switch (credentials.type) {
    case "ACCESS_TOKEN":
      return credentials.token;
    case "X509_CERTIFICATE":
      return sha3(certificateText(credentials.certificate));
    default:
      return basicCredentialsId(credentials);
  }
}

function basicCredentialsId(credentials: Extract<Credentials, { type: "MQTT_BASIC" }>): string {
  const { clientId = "", userName = "", password = "" } = credentials;
  if (clientId === "" && userName === "") {
    throw new RejectedError("Cannot use MQTT credentials: need a client id or a user name");
  }
  if (userName === "" && password !== "") {
    throw new RejectedError("Cannot use MQTT credentials: a password needs a user name");
  }
  if (clientId === "") {
    return userName;
  }
  return sha3(userName === "" ? clientId : `${clientId}|${userName}`);
}
