import type { DataValue, MonitoredItemNotification } from "node-opcua-client";
import type { ConnectorHost } from "#sdk/connector";
import type { ServerSession } from "./client.ts";
import { BUILTIN } from "./codec.ts";
import type { Item } from "./device.ts";
import type { Intake } from "./intake.ts";

/** Notifications with structures that may wait for their types. */
const MAX_WAITING_STRUCTURES = 100;

/** What a monitored item is read with. */
export interface Sampled {
  readonly item: Item;
  /** The samples of the notification that is being read, when there are several. */
  samples: DataValue[] | undefined;
  /** The last sample: a server may say it again when a session is taken up. */
  lastValue: unknown;
  lastMs: number | undefined;
}

/** Where notifications come from and what follows. */
export interface NotificationSource {
  readonly session: ServerSession;
  /** Aborts with the session. */
  readonly signal: AbortSignal;
  /** The store failed, or there is a defect. */
  readonly onDefect: (error: unknown) => void;
}

/** Turns notifications into records, without an object, promise or timer for a single value. */
export class NotificationReader {
  readonly #host: ConnectorHost;
  readonly #intake: Intake;
  readonly #onHandedOn: () => void;
  #waitingStructures = 0;

  /** `onHandedOn` is called when records are on their way, and when the store has taken them. */
  constructor(host: ConnectorHost, intake: Intake, onHandedOn: () => void) {
    this.#host = host;
    this.#intake = intake;
    this.#onHandedOn = onHandedOn;
  }

  /** All samples of a notification; `monitoredOf` finds items by their handles. `mayRepeat`: soon after a session was taken up. */
  take(
    notifications: readonly MonitoredItemNotification[],
    monitoredOf: (handle: number) => Sampled | undefined,
    source: NotificationSource & { readonly mayRepeat: boolean },
  ): void {
    const result = this.#intake.result();
    const several: Sampled[] = [];
    const structures: { monitored: Sampled; value: DataValue }[] = [];
    const seen = repeatedHandles(notifications);
    const { mayRepeat } = source;
    for (const { clientHandle, value } of notifications) {
      const monitored = monitoredOf(clientHandle);
      if (monitored === undefined || this.#isRepeated(monitored, value, mayRepeat)) {
        continue; // Deleted meanwhile, or known.
      }
      if (isStructure(value)) {
        structures.push({ monitored, value });
      } else if (seen?.has(clientHandle)) {
        if (monitored.samples === undefined) {
          monitored.samples = [];
          several.push(monitored);
        }
        monitored.samples.push(value);
      } else {
        result.add(monitored.item, value);
      }
    }
    for (const monitored of several) {
      result.addAll(monitored.item, monitored.samples ?? []);
      monitored.samples = undefined;
    }
    this.#put(result, source);
    if (structures.length > 0) {
      this.#takeStructures(structures, source);
    }
  }

  #isRepeated(monitored: Sampled, value: DataValue, mayRepeat: boolean): boolean {
    const isKnown = isRepeated(monitored, value) && mayRepeat;
    if (isKnown) {
      this.#host.metrics.count("repeatsDropped");
    }
    return isKnown;
  }

  #takeStructures(
    structures: readonly { readonly monitored: Sampled; readonly value: DataValue }[],
    source: NotificationSource,
  ): void {
    if (this.#waitingStructures >= MAX_WAITING_STRUCTURES) {
      this.#host.metrics.rejected("structures-overflow", structures.length);
      return;
    }
    const { session } = source;
    this.#waitingStructures += 1;
    const values = structures.map(({ value }) => value);
    session.library
      .promoteOpaqueStructure(session.raw, values)
      // What cannot be decoded is shown as it came.
      .catch(() => undefined)
      .then(() => {
        const decoded = this.#intake.result();
        for (const { monitored, value } of structures) {
          decoded.add(monitored.item, value);
        }
        this.#put(decoded, source);
      })
      .finally(() => {
        this.#waitingStructures -= 1;
      })
      .catch(source.onDefect);
  }

  #put(result: ReturnType<Intake["result"]>, { signal, onDefect }: NotificationSource): void {
    if (result.isEmpty) {
      return;
    }
    this.#intake.put(result, signal).then(this.#onHandedOn, (error: unknown) => {
      if (!signal.aborted) {
        onDefect(error);
      }
    });
    this.#onHandedOn();
  }
}

/** The stack delivers structures undecoded. */
function isStructure({ value }: DataValue): boolean {
  const type: number = value.dataType;
  return type === BUILTIN.ExtensionObject;
}

/** Whether this is the sample that came last, with its time; it is the last one from now on. */
function isRepeated(monitored: Sampled, { value, sourceTimestamp }: DataValue): boolean {
  const ms = sourceTimestamp?.getTime();
  // What is an object, as arrays are, is not compared: it counts as another value.
  const last: unknown = typeof value.value === "object" ? undefined : value.value;
  const isSame = ms !== undefined && ms === monitored.lastMs && last === monitored.lastValue;
  monitored.lastMs = ms;
  monitored.lastValue = last;
  return isSame && last !== undefined;
}

/** Handles that occur more than once; `undefined` when there are none. */
function repeatedHandles(
  notifications: readonly MonitoredItemNotification[],
): ReadonlySet<number> | undefined {
  const seen = new Set<number>();
  let repeated: Set<number> | undefined;
  for (const { clientHandle } of notifications) {
    if (seen.has(clientHandle)) {
      repeated ??= new Set();
      repeated.add(clientHandle);
    }
    seen.add(clientHandle);
  }
  return repeated;
}
