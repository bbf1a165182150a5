import type { DeviceSession, RpcCall } from "./device-session.ts";
import type { Device } from "./model.ts";
import { REASON } from "./packets.ts";
import type { Platform } from "./platform.ts";
import type { Sender } from "./rate-limit.ts";
import { isHtmlLike } from "./telemetry.ts";
import { quote } from "./values.ts";

/** Longest device name. */
const MAX_NAME_LENGTH = 255;

/** The connection of the gateway as its children need it. */
export interface GatewayLink {
  readonly device: Device;
  readonly isClosed: boolean;
  publish(topic: string, payload: string): void;
}

/** What becomes of an attempt to open a child. */
export interface OpenCallbacks {
  opened(child: ChildSession): void;
  /** `code` is the MQTT 5 reason for the PUBACK. */
  failed(code: number): void;
}

/** The session of a device behind a gateway. It speaks under the name it was opened with, also after a rename. */
export class ChildSession implements DeviceSession {
  readonly device: Device;
  readonly boundName: string;
  readonly sender: Sender;
  readonly isAttributesSubscribed: boolean;
  readonly isRpcSubscribed: boolean;
  /** Monotonic time of the last message that names it. */
  lastActivityMs: number;
  readonly #link: GatewayLink;
  readonly #remove: (child: ChildSession) => void;

  constructor(options: {
    readonly device: Device;
    readonly name: string;
    readonly isSubscribed: boolean;
    readonly nowMs: number;
    readonly link: GatewayLink;
    readonly remove: (child: ChildSession) => void;
  }) {
    this.device = options.device;
    this.boundName = options.name;
    this.sender = { kind: "child", owner: options.link.device };
    this.isAttributesSubscribed = options.isSubscribed;
    this.isRpcSubscribed = options.isSubscribed;
    this.lastActivityMs = options.nowMs;
    this.#link = options.link;
    this.#remove = options.remove;
  }

  sendAttributes(data: string): void {
    this.#link.publish(
      "v1/gateway/attributes",
      `{"device":${quote(this.boundName)},"data":${data}}`,
    );
  }

  sendRpc(call: RpcCall): boolean {
    const data = `{"id":${call.id},"method":${quote(call.method)},"params":${call.params}}`;
    this.#link.publish("v1/gateway/rpc", `{"device":${quote(this.boundName)},"data":${data}}`);
    return false;
  }

  /** Goes without telling the gateway. */
  evict(): void {
    this.#remove(this);
  }
}

/** The child sessions inside one connection of a gateway. */
export class Children {
  readonly #platform: Platform;
  readonly #link: GatewayLink;
  readonly #open = new Map<string, ChildSession>();
  readonly #opening = new Map<string, OpenCallbacks[]>();

  constructor(platform: Platform, link: GatewayLink) {
    this.#platform = platform;
    this.#link = link;
  }

  /** Names of the open children. */
  names(): readonly string[] {
    return [...this.#open.keys()];
  }

  /** The open child of that name. */
  find(name: string): ChildSession | undefined {
    return this.#open.get(name);
  }

  /**
   * Calls `opened` with the child, creating the device when it is unknown: at once for an open child, otherwise when
   * it is open. False: a rate limit refused the first opening and nothing is called.
   */
  withChild(name: string, type: string, callbacks: OpenCallbacks): boolean {
    const open = this.#open.get(name);
    if (open !== undefined) {
      callbacks.opened(open);
      return true;
    }
    const waiting = this.#opening.get(name);
    if (waiting !== undefined) {
      waiting.push(callbacks);
      return true;
    }
    if (!this.#platform.limits.tryTake(this.#sender, 0)) {
      return false;
    }
    this.#opening.set(name, [callbacks]);
    this.#start(name, type);
    return true;
  }

  /** A message named this child. */
  touch(child: ChildSession): void {
    child.lastActivityMs = this.#platform.clock.monotonicMs();
    this.#platform.touch(child.device);
  }

  /** The gateway was active and lends its activity to all its children. */
  touchAll(): void {
    for (const child of this.#open.values()) {
      this.touch(child);
    }
  }

  /** Ends the session of a child. */
  close(child: ChildSession): void {
    if (this.#open.get(child.boundName) === child) {
      this.#open.delete(child.boundName);
      this.#platform.closeSession(child);
    }
  }

  /** Ends the sessions that nothing was heard of since `sinceMs` (monotonic). */
  closeIdle(sinceMs: number): void {
    for (const child of this.#open.values()) {
      if (child.lastActivityMs <= sinceMs) {
        this.close(child);
      }
    }
  }

  /** The connection ended, and with it every child. */
  closeAll(): void {
    for (const child of this.#open.values()) {
      this.close(child);
    }
  }

  get #sender(): Sender {
    return { kind: "child", owner: this.#link.device };
  }

  #start(name: string, type: string): void {
    const { faults, timings } = this.#platform;
    const isRefused = name.length > MAX_NAME_LENGTH || name.trim() === "" || isHtmlLike(name);
    const failure = isRefused || type === "" ? "timeout" : faults.takeOpenFailure(name);
    if (failure === "timeout") {
      this.#platform.after(timings.openTimeoutMs, () => this.#fail(name, REASON.UNSPECIFIED_ERROR));
      return;
    }
    this.#platform.after(faults.openDelayMs, () => {
      const device = failure === undefined ? this.#findOrCreate(name, type) : undefined;
      if (device === undefined) {
        const isQuota = failure !== "error";
        this.#fail(name, isQuota ? REASON.QUOTA_EXCEEDED : REASON.UNSPECIFIED_ERROR);
      } else {
        this.#succeed(name, device);
      }
    });
  }

  #findOrCreate(name: string, type: string): Device | undefined {
    const { registry, counters } = this.#platform;
    const known = registry.find(name);
    if (known !== undefined || !registry.hasRoom) {
      return known;
    }
    counters.devicesCreated += 1;
    return registry.create(name, type);
  }

  #succeed(name: string, device: Device): void {
    device.lastConnectedGateway = this.#link.device;
    const waiting = this.#opening.get(name) ?? [];
    this.#opening.delete(name);
    if (this.#link.isClosed) {
      return;
    }
    const child = new ChildSession({
      device,
      name,
      // The second token pays for the session event with both subscriptions; refused, it is lost without a word.
      isSubscribed: this.#platform.limits.tryTake(this.#sender, 0),
      nowMs: this.#platform.clock.monotonicMs(),
      link: this.#link,
      remove: (evicted) => this.close(evicted),
    });
    this.#open.set(name, child);
    this.#platform.openSession(child);
    this.#platform.rpc.resend(device);
    for (const callbacks of waiting) {
      callbacks.opened(child);
    }
    this.#platform.changed();
  }

  #fail(name: string, code: number): void {
    const waiting = this.#opening.get(name) ?? [];
    this.#opening.delete(name);
    for (const callbacks of waiting) {
      callbacks.failed(code);
    }
    this.#platform.changed();
  }
}
