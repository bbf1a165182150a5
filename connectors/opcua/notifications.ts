import type { ConnectorHost } from "#sdk/connector";
import type { Change } from "./change-decoder.ts";
import type { ServerSession } from "./client.ts";
import { BUILTIN } from "./codec.ts";
import type { Item } from "./device.ts";
import type { Intake } from "./intake.ts";
import { type Sample, sampleOf } from "./uplink.ts";

/** Notifications with structures that may wait for their types. */
const MAX_WAITING_STRUCTURES = 100;

/** What a monitored item is read with. */
export interface Sampled {
  readonly item: Item;
  /** The last notification it was in, by number, and the last one it was in several times. */
  inMessage: number;
  severalInMessage: number;
  /** Its samples in the notification that is being read, when there are several. */
  samples: Sample[] | undefined;
  /** The last sample: a server may say it again when a session is taken up. */
  lastValue: unknown;
  lastMs: number | undefined;
}

/** What is known of an item before its first sample. */
export function newSampled(item: Item): Sampled {
  return {
    item,
    inMessage: 0,
    severalInMessage: 0,
    samples: undefined,
    lastValue: undefined,
    lastMs: undefined,
  };
}

/** Where notifications come from and what follows. */
export interface NotificationSource {
  readonly session: ServerSession;
  /** Aborts with the session. */
  readonly signal: AbortSignal;
  /** The store failed, or there is a defect. */
  readonly onDefect: (error: unknown) => void;
}

/** A structure, with its monitored item. */
interface StructureChange {
  readonly monitored: Sampled;
  readonly whole: NonNullable<Change["whole"]>;
}

/** Turns notifications into records, without a promise or timer for a single value. */
export class NotificationReader {
  readonly #host: ConnectorHost;
  readonly #intake: Intake;
  readonly #onHandedOn: () => void;
  #waitingStructures = 0;
  #message = 0;

  /** `onHandedOn` is called when records are on their way, and when the store has taken them. */
  constructor(host: ConnectorHost, intake: Intake, onHandedOn: () => void) {
    this.#host = host;
    this.#intake = intake;
    this.#onHandedOn = onHandedOn;
  }

  /** All samples of a notification; `monitoredOf` finds items by their handles. `mayRepeat`: soon after a session was taken up. */
  take(
    changes: readonly Change[],
    monitoredOf: (handle: number) => Sampled | undefined,
    source: NotificationSource & { readonly mayRepeat: boolean },
  ): void {
    try {
      this.#take(changes, monitoredOf, source);
    } catch (error) {
      source.onDefect(error); // The stack would keep it to itself.
    }
  }

  #take(
    changes: readonly Change[],
    monitoredOf: (handle: number) => Sampled | undefined,
    source: NotificationSource & { readonly mayRepeat: boolean },
  ): void {
    const result = this.#intake.result();
    const several: Sampled[] = [];
    const structures: StructureChange[] = [];
    const message = this.#mark(changes, monitoredOf);
    const { mayRepeat } = source;
    for (const change of changes) {
      const monitored = monitoredOf(change.clientHandle);
      if (monitored === undefined || this.#isRepeated(monitored, change, mayRepeat)) {
        continue; // Deleted meanwhile, or known.
      }
      const { whole } = change;
      if (whole !== undefined && isStructure(change)) {
        structures.push({ monitored, whole });
      } else if (monitored.severalInMessage === message) {
        if (monitored.samples === undefined) {
          monitored.samples = [];
          several.push(monitored);
        }
        monitored.samples.push(change);
      } else {
        result.add(monitored.item, change);
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

  /** Marks the items of a notification, and those that are in it several times. The answer: its number. */
  #mark(changes: readonly Change[], monitoredOf: (handle: number) => Sampled | undefined): number {
    this.#message += 1;
    const message = this.#message;
    for (const { clientHandle } of changes) {
      const monitored = monitoredOf(clientHandle);
      if (monitored !== undefined) {
        if (monitored.inMessage === message) {
          monitored.severalInMessage = message;
        }
        monitored.inMessage = message;
      }
    }
    return message;
  }

  #isRepeated(monitored: Sampled, change: Change, mayRepeat: boolean): boolean {
    const isKnown = isRepeated(monitored, change) && mayRepeat;
    if (isKnown) {
      this.#host.metrics.count("repeatsDropped");
    }
    return isKnown;
  }

  #takeStructures(structures: readonly StructureChange[], source: NotificationSource): void {
    if (this.#waitingStructures >= MAX_WAITING_STRUCTURES) {
      this.#host.metrics.rejected("structures-overflow", structures.length);
      return;
    }
    const { session } = source;
    this.#waitingStructures += 1;
    const values = structures.map(({ whole }) => whole);
    session.library
      .promoteOpaqueStructure(session.raw, values)
      // What cannot be decoded is shown as it came.
      .catch(() => undefined)
      .then(() => {
        const decoded = this.#intake.result();
        for (const { monitored, whole } of structures) {
          decoded.add(monitored.item, sampleOf(whole));
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
function isStructure({ dataType }: Change): boolean {
  return dataType === BUILTIN.ExtensionObject;
}

/** Whether this is the sample that came last, with its time; it is the last one from now on. */
function isRepeated(monitored: Sampled, { value, sourceMs }: Change): boolean {
  // What is an object, as arrays are, is not compared: it counts as another value.
  const last = typeof value === "object" ? undefined : value;
  const isSame =
    sourceMs !== undefined && sourceMs === monitored.lastMs && last === monitored.lastValue;
  monitored.lastMs = sourceMs;
  monitored.lastValue = last;
  return isSame && last !== undefined;
}
