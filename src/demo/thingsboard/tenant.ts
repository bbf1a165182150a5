import { createHash } from "node:crypto";
import type { Json, Values } from "#sdk/model";
import type { RpcCall } from "./device-session.ts";
import { parseJson } from "./json.ts";
import {
  type Credentials,
  certificateText,
  type Device,
  type DeviceProfile,
  type OtaPackage,
  type Scope,
} from "./model.ts";
import { REASON } from "./packets.ts";
import type { ClientRpcHandler, Platform } from "./platform.ts";
import type { LimitProfile } from "./rate-limit.ts";
import type { RpcOptions } from "./rpc.ts";
import type { Series } from "./series.ts";
import { readAttributes } from "./telemetry.ts";
import { type DataPoint, jsonText, quote, type TypedValue } from "./values.ts";

/** What an administrator does on the platform and sees there: devices, attributes, series, calls, limits. */
export class Tenant {
  readonly #platform: Platform;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Creates a gateway device. A text as credentials is an access token. @throws RejectedError when name or credentials are taken. */
  createGateway(
    name: string,
    credentials: string | Credentials,
    options: { readonly overwriteActivityTime?: boolean; readonly profile?: string } = {},
  ): void {
    this.createDevice(name, options.profile, credentials);
    const device = this.#platform.registry.get(name);
    device.isGateway = true;
    device.overwriteActivityTime = options.overwriteActivityTime ?? false;
  }

  /** Creates a device; without credentials it can only speak through a gateway. @throws RejectedError when name or credentials are taken. */
  createDevice(name: string, profile?: string, credentials?: string | Credentials): void {
    const { registry } = this.#platform;
    const device = registry.create(name, profile);
    if (credentials !== undefined) {
      registry.setCredentials(device, toCredentials(credentials));
    }
  }

  /** Changes whether gateway activity refreshes the children; holds at once. */
  setOverwriteActivityTime(gateway: string, isOn: boolean): void {
    this.#platform.registry.get(gateway).overwriteActivityTime = isOn;
  }

  /**
   * Deletes a device. Its own connection is closed with 0x98; a child session that bears its name ends in silence; its
   * last gateway is told `gateway_device_deleted`.
   */
  deleteDevice(name: string): void {
    const { registry, rpc } = this.#platform;
    const device = registry.get(name);
    const session = this.#platform.sessionOf(device);
    const boundName = this.#boundName(device);
    registry.delete(device);
    rpc.forget(device);
    // A child session that still bears the name from before a rename is not found by the server and lives on.
    if (boundName === undefined || boundName === name) {
      session?.evict(REASON.ADMINISTRATIVE_ACTION);
    }
    this.#notifyGateway(device, "gateway_device_deleted", quote(name));
  }

  /** Renames a device and tells its last gateway `gateway_device_renamed`. An open child session keeps the old name. */
  renameDevice(name: string, newName: string): void {
    const { registry } = this.#platform;
    const device = registry.get(name);
    registry.rename(device, newName);
    this.#notifyGateway(device, "gateway_device_renamed", `{${quote(name)}:${quote(newName)}}`);
  }

  /** Replaces the credentials of a device and ends its connection with 0x98. */
  setCredentials(name: string, credentials: string | Credentials): void {
    const device = this.#platform.registry.get(name);
    this.#platform.registry.setCredentials(device, toCredentials(credentials));
    if (this.#boundName(device) === undefined) {
      this.#platform.sessionOf(device)?.evict(REASON.ADMINISTRATIVE_ACTION);
    }
  }

  /** Most devices the tenant may have; one more is refused. */
  setMaxDevices(count: number): void {
    this.#platform.registry.maxDevices = count;
  }

  /** Changes a device profile, creating it when it is missing. It counts for connections made later. */
  setProfile(name: string, settings: Partial<Omit<DeviceProfile, "name">>): void {
    const rule = settings.provision;
    const provision =
      rule?.strategy === "X509_CERTIFICATE_CHAIN"
        ? { ...rule, key: certificateText(rule.key) }
        : rule;
    this.#platform.registry.setProfile(name, {
      ...settings,
      ...(provision === undefined ? {} : { provision }),
    });
  }

  /** Offers a firmware (`fw`) or software (`sw`) package: announced by shared attributes, served in chunks. */
  setPackage(name: string, kind: "fw" | "sw", otaPackage: OtaPackage): void {
    const device = this.#platform.registry.get(name);
    device.packages.set(kind, otaPackage);
    const { title, version, data } = otaPackage;
    const hash = createHash("sha256").update(data).digest("hex");
    this.setShared(name, {
      [`${kind}_title`]: title,
      [`${kind}_version`]: version,
      [`${kind}_size`]: data.length,
      [`${kind}_checksum_algorithm`]: "SHA256",
      [`${kind}_checksum`]: hash,
    });
  }

  /** Sets shared attributes, as values or as the JSON text of an object, and tells the device. @throws DataError for a text that is no object. */
  setShared(name: string, values: Values | string): void {
    const body = parseJson(typeof values === "string" ? values : jsonText(values));
    const typed = body.kind === "object" ? readAttributes(body) : new Map<string, TypedValue>();
    this.#platform.setShared(this.#platform.registry.get(name), typed);
  }

  /** Deletes shared attributes and tells the device. */
  deleteShared(name: string, keys: readonly string[]): void {
    this.#platform.deleteShared(this.#platform.registry.get(name), keys);
  }

  /** Shared attributes of a device. */
  getShared(name: string): Readonly<Record<string, TypedValue>> {
    return this.attributes(name, "shared");
  }

  /** Attributes the device itself posted. */
  getClient(name: string): Readonly<Record<string, TypedValue>> {
    return this.attributes(name, "client");
  }

  /** Attributes of one scope. The server scope shows `active` and the times the server keeps (ms since 1970). */
  attributes(name: string, scope: Scope): Readonly<Record<string, TypedValue>> {
    const device = this.#platform.registry.find(name);
    if (device === undefined) {
      return {};
    }
    const state = scope === "server" ? stateAttributes(device) : {};
    return { ...state, ...Object.fromEntries(device.attributes[scope]) };
  }

  /** Names of all devices in the order they were created. */
  devices(): readonly string[] {
    return this.#platform.registry.devices().map((device) => device.name);
  }

  /** What is known of a device, undefined when there is none. `id` changes when a device is deleted and created again. */
  device(name: string): Readonly<Device> | undefined {
    return this.#platform.registry.find(name);
  }

  /** The values of a series in the order they arrived, repeats included. Empty for an unknown device or key. */
  series(name: string, key: string): readonly DataPoint[] {
    return this.#series(name, key)?.arrivals() ?? [];
  }

  /** The values of a series as the database has them: by `ts`, the last one of each `ts`. */
  stored(name: string, key: string): readonly DataPoint[] {
    return this.#series(name, key)?.stored() ?? [];
  }

  /** The newest value of a series by `ts`. */
  latest(name: string, key: string): DataPoint | undefined {
    return this.#series(name, key)?.latest;
  }

  /** How many values of a series ever arrived, also those no longer kept. */
  valueCount(name: string, key: string): number {
    return this.#series(name, key)?.count ?? 0;
  }

  /** Keys of the series of a device. */
  keys(name: string): readonly string[] {
    return [...(this.#platform.registry.find(name)?.series.keys() ?? [])];
  }

  /**
   * Calls a device. Resolves with the JSON text of its reply, for a one-way call with "" once it is written.
   * @throws TransientError at the time-out (at least 5 s), DataError for a reply that is no JSON.
   */
  rpc(name: string, method: string, params: Json, options: RpcOptions = {}): Promise<string> {
    const device = this.#platform.registry.get(name);
    return this.#platform.rpc.call(device, { method, params: jsonText(params) }, options);
  }

  /** Calls to a device that wait for delivery or a reply. */
  pendingRpc(name: string): readonly RpcCall[] {
    return this.#platform.rpc.pending(this.#platform.registry.get(name));
  }

  /** Answers calls from devices to the platform with JSON text; undefined lets them time out. */
  onClientRpc(handler: ClientRpcHandler): void {
    this.#platform.clientRpc = handler;
  }

  /** Replaces the rate limits of the tenant; every bucket starts full. @throws DataError for one that cannot be read. */
  setLimits(profile: LimitProfile): void {
    this.#platform.limits.setProfile(profile);
  }

  #series(name: string, key: string): Series | undefined {
    return this.#platform.registry.find(name)?.series.get(key);
  }

  /** The name under which a child session of the device speaks; undefined when it has none. */
  #boundName(device: Device): string | undefined {
    const session = this.#platform.sessionOf(device);
    return session?.sender.kind === "child" ? session.boundName : undefined;
  }

  #notifyGateway(device: Device, method: string, params: string): void {
    const gateway = device.lastConnectedGateway;
    if (gateway !== undefined && !gateway.isDeleted) {
      this.#platform.rpc.notify(gateway, method, params);
    }
  }
}

function toCredentials(credentials: string | Credentials): Credentials {
  return typeof credentials === "string"
    ? { type: "ACCESS_TOKEN", token: credentials }
    : credentials;
}

function stateAttributes(device: Device): Readonly<Record<string, TypedValue>> {
  const { active, ...times } = device.state;
  const entries = Object.entries(times).map(([key, value]): [string, TypedValue] => [
    key,
    { type: "LONG", value, text: String(value) },
  ]);
  const flag: TypedValue = { type: "BOOLEAN", value: active, text: String(active) };
  return { active: flag, ...Object.fromEntries(entries) };
}
