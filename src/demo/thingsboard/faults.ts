import { RejectedError } from "#sdk/errors";

/** A publish that a fault may pick. */
export interface FaultTarget {
  readonly topic: string;
  /** The payload as UTF-8 text. */
  readonly text: string;
  /** Number of the connection, from 1. */
  readonly connection: number;
}

/**
 * What happens to a publish instead of the normal course.
 * - `delay`: handled at once, its PUBACK leaves `ms` later.
 * - `hold`: handled at once, its PUBACK leaves with `releasePubacks`.
 * - `drop`: handled, never acknowledged.
 * - `duplicate`: its PUBACK is sent twice.
 * - `lose`: acknowledged as usual, nothing is stored (the server crashed after it acknowledged).
 * - `ignore`: neither handled nor acknowledged.
 * - `refuse`: not handled; the PUBACK carries `code`; `close` ends the connection after it.
 * - `fail-queue`: the message queue of the server refuses it.
 * - `cut`: handled, then the connection is reset before the PUBACK.
 * - `cut-after`: handled and acknowledged, then the connection ends.
 */
export type PublishFault =
  | { readonly action: "delay"; readonly ms: number }
  | { readonly action: "refuse"; readonly code: number; readonly close?: boolean }
  | {
      readonly action:
        | "hold"
        | "drop"
        | "duplicate"
        | "lose"
        | "ignore"
        | "fail-queue"
        | "cut"
        | "cut-after";
    };

/** Which publishes a fault picks, and how many of them. Default: all. */
export interface FaultScope {
  readonly topic?: string;
  /** Text that the payload contains. */
  readonly contains?: string;
  readonly when?: (target: FaultTarget) => boolean;
  /** How many publishes it picks before it is spent. Default: no end. */
  readonly times?: number;
}

/** How opening a child device fails: no room for one more device, an error, or no answer until the time-out. */
export type OpenFailure = "quota" | "error" | "timeout";

/** Cuts a connection when one of the counts, summed over all connections from this moment, is reached. */
export interface CloseBudget {
  readonly bytes?: number;
  readonly packets?: number;
  readonly publishes?: number;
  /** How often it happens; each time the counts start again. Default 1. */
  readonly times?: number;
}

/** Holds work back while it is closed. */
export class Gate {
  #isClosed = false;
  #waiting: (() => void)[] = [];

  get isClosed(): boolean {
    return this.#isClosed;
  }

  close(): void {
    this.#isClosed = true;
  }

  /** Opens it and calls everybody who waits, in order. */
  open(): void {
    this.#isClosed = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const callback of waiting) {
      callback();
    }
  }

  /** Calls back once, when the gate opens next. */
  whenOpen(callback: () => void): void {
    this.#waiting.push(callback);
  }
}

interface Rule {
  readonly fault: PublishFault;
  readonly scope: FaultScope;
  left: number;
}

/** The fault switches of the double. All are off at first; `clear` turns all off again. */
export class Faults {
  /** Closed: sockets are not read (a half-open connection). */
  readonly reading = new Gate();
  /** Closed: packets are read but wait; the 101st waiting packet of a connection ends it. */
  readonly processing = new Gate();
  /** Added to the server's wall clock, in ms. */
  clockSkewMs = 0;
  /** CONNACK leaves this much later; packets before it wait. */
  connackDelayMs = 0;
  /** True: every new TCP connection is closed at once, as for a blocked address. */
  refuseTcp = false;
  /** Opening a child takes this long, in ms. 0: it is open before the next packet is handled. */
  openDelayMs = 0;
  /** Largest MQTT Remaining Length; the server's default. */
  maxPacketSize = 65_536;
  /** What `getSessionLimits` reports as that limit; undefined: the truth. */
  reportedPacketSize: number | undefined;
  /** Packet id of the first publish to a client on connections made later. 65,535 shows the wrap to 0 at once. */
  firstPacketId = 1;
  /** True: a reply to an attribute request leaves before the PUBACK of the request. */
  replyBeforePuback = false;

  #rules: Rule[] = [];
  #connack: { readonly code: number; left: number } | undefined;
  #open: { readonly failure: OpenFailure; readonly device?: string; left: number } | undefined;
  #budget:
    | {
        readonly limits: CloseBudget;
        bytes: number;
        packets: number;
        publishes: number;
        left: number;
      }
    | undefined;
  #reorder: { readonly size: number; readonly held: (() => void)[] } | undefined;
  #held: (() => void)[] = [];

  /** Adds a fault for publishes; of several that match, the oldest acts. Disposing it takes it away. */
  publish(fault: PublishFault, scope: FaultScope = {}): Disposable {
    const rule: Rule = { fault, scope, left: scope.times ?? Number.POSITIVE_INFINITY };
    this.#rules.push(rule);
    return {
      [Symbol.dispose]: () => {
        this.#rules = this.#rules.filter((other) => other !== rule);
      },
    };
  }

  /** Collects PUBACKs and sends each `size` of them in reverse order. 0 turns it off and sends what is collected. */
  reorderPubacks(size: number): void {
    const held = this.#reorder?.held ?? [];
    this.#reorder = size > 1 ? { size, held: [] } : undefined;
    for (const send of held.reverse()) {
      send();
    }
  }

  /** Sends the PUBACKs that a `hold` fault kept, oldest first. Returns how many. */
  releasePubacks(): number {
    const held = this.#held;
    this.#held = [];
    for (const send of held) {
      send();
    }
    return held.length;
  }

  /** Refuses the next `times` CONNECTs with `code`: a return code below MQTT 5, a reason code in MQTT 5. */
  refuseConnect(code: number, times = Number.POSITIVE_INFINITY): void {
    this.#connack = { code, left: times };
  }

  /** Lets opening children fail. `device` limits it to one name. */
  failOpen(
    failure: OpenFailure,
    scope: { readonly device?: string; readonly times?: number } = {},
  ): void {
    const { times = Number.POSITIVE_INFINITY, ...rest } = scope;
    this.#open = { failure, ...rest, left: times };
  }

  /** Resets connections after some traffic. @throws RejectedError when no positive count is given. */
  closeAfter(limits: CloseBudget): void {
    if (![limits.bytes, limits.packets, limits.publishes].some((count) => (count ?? 0) > 0)) {
      throw new RejectedError(
        "Cannot close after nothing: need bytes, packets or publishes above 0",
      );
    }
    this.#budget = { limits, bytes: 0, packets: 0, publishes: 0, left: limits.times ?? 1 };
  }

  /** Turns every fault off, lets held PUBACKs go and opens the gates. */
  clear(): void {
    this.#rules = [];
    this.#connack = undefined;
    this.#open = undefined;
    this.#budget = undefined;
    this.clockSkewMs = 0;
    this.connackDelayMs = 0;
    this.refuseTcp = false;
    this.openDelayMs = 0;
    this.maxPacketSize = 65_536;
    this.reportedPacketSize = undefined;
    this.firstPacketId = 1;
    this.replyBeforePuback = false;
    this.reorderPubacks(0);
    this.releasePubacks();
    this.reading.open();
    this.processing.open();
  }

  /** For the server: the fault that picks this publish. */
  takePublishFault(target: FaultTarget): PublishFault | undefined {
    if (this.#rules.length === 0) {
      return undefined;
    }
    const rule = this.#rules.find((each) => each.left > 0 && isInScope(each.scope, target));
    if (rule === undefined) {
      return undefined;
    }
    rule.left -= 1;
    return rule.fault;
  }

  /** For the server: the code with which to refuse this CONNECT. */
  takeConnackCode(): number | undefined {
    if (this.#connack === undefined || this.#connack.left <= 0) {
      return undefined;
    }
    this.#connack.left -= 1;
    return this.#connack.code;
  }

  /** For the server: how opening this child fails. */
  takeOpenFailure(device: string): OpenFailure | undefined {
    const open = this.#open;
    if (open === undefined || open.left <= 0 || (open.device ?? device) !== device) {
      return undefined;
    }
    open.left -= 1;
    return open.failure;
  }

  /** For the server: how many of `size` received bytes may be handled before the cut; undefined for all. */
  takeBytes(size: number): number | undefined {
    const budget = this.#budget;
    const limit = budget?.limits.bytes;
    if (budget === undefined || limit === undefined) {
      return undefined;
    }
    const rest = limit - budget.bytes;
    budget.bytes += size;
    return budget.bytes < limit ? undefined : this.#spend(rest);
  }

  /** For the server: whether the connection is to be cut after this packet. */
  takePacket(isPublish: boolean): boolean {
    const budget = this.#budget;
    if (budget === undefined) {
      return false;
    }
    budget.packets += 1;
    budget.publishes += isPublish ? 1 : 0;
    const { packets, publishes } = budget.limits;
    const isSpent =
      (packets !== undefined && budget.packets >= packets) ||
      (publishes !== undefined && isPublish && budget.publishes >= publishes);
    return isSpent && this.#spend(0) === 0;
  }

  /** For the server: keeps a PUBACK until `releasePubacks`. */
  holdPuback(send: () => void): void {
    this.#held.push(send);
  }

  /** For the server: sends a PUBACK, or collects it for another order. */
  order(send: () => void): void {
    const reorder = this.#reorder;
    if (reorder === undefined) {
      send();
      return;
    }
    reorder.held.push(send);
    if (reorder.held.length >= reorder.size) {
      for (const each of reorder.held.splice(0).reverse()) {
        each();
      }
    }
  }

  #spend(allowed: number): number {
    if (this.#budget !== undefined) {
      const left = this.#budget.left - 1;
      const { limits } = this.#budget;
      this.#budget = left > 0 ? { limits, bytes: 0, packets: 0, publishes: 0, left } : undefined;
    }
    return allowed;
  }
}

function isInScope(scope: FaultScope, target: FaultTarget): boolean {
  return (
    (scope.topic === undefined || scope.topic === target.topic) &&
    (scope.contains === undefined || target.text.includes(scope.contains)) &&
    (scope.when === undefined || scope.when(target))
  );
}
