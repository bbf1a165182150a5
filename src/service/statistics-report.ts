import { total } from "#sdk/ledger";
import type { Json, Values } from "#sdk/model";
import type { MachineStats } from "./machine.ts";
import type { ConnectorStatus, GatewayStatus } from "./status.ts";

/** Counters of a converter begin like this; they are reported apart from those of its connector. */
const CONVERTER = "converters";
/** Reported of every connector, also while it is 0. */
const ALWAYS = ["storageMsgPushed", "connectorMsgsReceived", "connectorBytesReceived"];

/** Counts of one moment that only grow, by name. */
export type Totals = ReadonlyMap<string, number>;

/** A report, and the totals that it goes up to: the next one begins there once this one is stored. */
export interface StatisticsReport {
  readonly values: Values;
  readonly totals: Totals;
}

/**
 * What happened between `before` and `status`, under the names of the Python gateway; ours come besides and never replace one of
 * them. `nowMs`: epoch milliseconds.
 */
export function statisticsReport(
  status: GatewayStatus,
  machine: MachineStats,
  before: Totals,
  nowMs: number,
): StatisticsReport {
  const period = new Period(before);
  const connectorsStats: Record<string, Json> = {};
  let messagesReceived = 0;
  for (const connector of status.connectors) {
    const { own, converter } = connectorStats(connector, period);
    connectorsStats[connector.name] = own;
    if (Object.keys(converter).length > 0) {
      connectorsStats[`${connector.name}_converter`] = converter;
    }
    messagesReceived += own["connectorMsgsReceived"] ?? 0;
  }
  const values: Values = {
    machineStats: {
      ...machine,
      msgsSentToPlatform: period.count("sender/publishes", status.sender.publishes),
      msgsReceivedFromPlatform: period.count("from-platform", status.messagesFromPlatform),
    },
    serviceStats: serviceStats(status, period, nowMs),
    connectorsStats,
    connectedDevices: status.devices,
    messagesReceived,
  };
  return { values, totals: period.totals };
}

/** Where counting begins: the ledger is older than this process, everything else begins with it. */
export function totalsAtStart(status: GatewayStatus): Totals {
  const period = new Period(new Map());
  countLedger(status, period);
  return period.totals;
}

/** Differences to the totals of the last report. */
class Period {
  readonly #before: Totals;
  readonly #totals: Map<string, number>;

  constructor(before: Totals) {
    this.#before = before;
    // What is absent for once, such as a connector that is being replaced, must not be counted twice later.
    this.#totals = new Map(before);
  }

  get totals(): Totals {
    return this.#totals;
  }

  /** How much `name` has grown to `now`. A counter that began again has grown by what it says. */
  count(name: string, now: number): number {
    const before = this.#before.get(name) ?? 0;
    this.#totals.set(name, now);
    return now < before ? now : now - before;
  }

  /** As `count` for counts by reason; without those that did not grow. */
  byReason(
    name: string,
    counts: Readonly<Record<string, number>>,
  ): Readonly<Record<string, number>> {
    return Object.fromEntries(
      Object.entries(counts)
        .map(([reason, count]) => [reason, this.count(`${name}/${reason}`, count)] as const)
        .filter(([, count]) => count > 0),
    );
  }
}

function serviceStats(status: GatewayStatus, period: Period, nowMs: number): Values {
  const { sender, store, uplink, devices, threadRestarts } = status;
  const ageMs = store.oldestTs === undefined ? 0 : Math.max(0, nowMs - store.oldestTs);
  return {
    storageMsgPulled: period.count("sender/read", sender.recordsRead),
    storageMsgCount: store.records,
    platformMsgPushed: period.count("sender/acknowledged", sender.recordsAcknowledged),
    platformAttrProduced: period.count("sender/attributes", sender.attributeRecordsAcknowledged),
    platformTsProduced: period.count("sender/telemetry", sender.telemetryValuesAcknowledged),
    connectedDevices: devices,
    valuesQueued: store.ledger.queued,
    ...countLedger(status, period),
    storageBytes: store.bytes,
    storageMaxBytes: store.maxBytes,
    oldestUnsentAgeSeconds: Math.round(ageMs / 1000),
    reconnects: period.count("reconnects", uplink.reconnects),
    deliveryRestarts: period.count("restarts", threadRestarts),
  };
}

function countLedger({ store: { ledger } }: GatewayStatus, period: Period): Values {
  const dropped = period.byReason("dropped", ledger.dropped);
  return {
    valuesReceived: period.count("received", ledger.received),
    valuesStored: period.count("stored", ledger.stored),
    valuesAcknowledged: period.count("acknowledged", ledger.acknowledged),
    valuesFiltered: period.byReason("filtered", ledger.filtered),
    valuesRejected: period.byReason("rejected", ledger.rejected),
    valuesDropped: dropped,
    valuesDroppedTotal: total(dropped),
    valuesQuarantined: period.count("quarantined", ledger.quarantined),
  };
}

function connectorStats(
  { id, counters, rejected, devices, restarts, state }: ConnectorStatus,
  period: Period,
): {
  readonly own: Record<string, number>;
  readonly converter: Record<string, number>;
} {
  const own: Record<string, number> = {};
  const converter: Record<string, number> = {};
  for (const name of ALWAYS) {
    own[name] = 0;
  }
  for (const [name, now] of Object.entries(counters)) {
    const count = period.count(`connector/${id}/${name}`, now);
    if (name.startsWith(CONVERTER)) {
      converter[name] = count;
    } else {
      own[name] = count;
    }
  }
  own["devices"] = devices;
  own["restarts"] = period.count(`connector-restarts/${id}`, restarts);
  own["running"] = state === "running" ? 1 : 0;
  own["rejected"] = total(period.byReason(`connector-rejected/${id}`, rejected));
  return { own, converter };
}
