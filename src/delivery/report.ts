import type { Sender } from "../thingsboard/sender.ts";
import type { Session } from "../thingsboard/session.ts";
import type { DeliveryReport, LinkState, SenderReport } from "./port.ts";
import type { MeteredStore } from "./throughput.ts";

/** Before there is a session. */
const NOT_SENDING: Omit<SenderReport, "recordsRead"> = {
  recordsAcknowledged: 0,
  telemetryValuesAcknowledged: 0,
  attributeRecordsAcknowledged: 0,
  publishes: 0,
  inFlight: 0,
  bytesSent: 0,
  resends: 0,
  rttMs: undefined,
};

/** What the delivery thread has to say about itself at this moment. */
export function deliveryReport(
  store: MeteredStore,
  uplink: { readonly session: Session; readonly sender: Sender } | undefined,
  watchdog: DeliveryReport["watchdog"],
): DeliveryReport {
  const { recordsRead } = store;
  return {
    store: store.stats(),
    rates: store.rates(),
    link: linkState(uplink?.session),
    sender: { recordsRead, ...(uplink === undefined ? NOT_SENDING : sent(uplink)) },
    watchdog: { ...watchdog },
  };
}

function sent(uplink: {
  readonly session: Session;
  readonly sender: Sender;
}): Omit<SenderReport, "recordsRead"> {
  const stats = uplink.sender.stats();
  const { published, inFlight, wireBytes, rttMs } = uplink.session.state;
  return {
    recordsAcknowledged: stats.acknowledgedRecords,
    telemetryValuesAcknowledged: stats.acknowledgedTelemetryValues,
    attributeRecordsAcknowledged: stats.acknowledgedAttributeRecords,
    publishes: published,
    inFlight,
    bytesSent: wireBytes,
    resends: stats.resends,
    rttMs,
  };
}

function linkState(session: Session | undefined): LinkState {
  const state = session?.state;
  return {
    state: state?.link ?? "stopped",
    detail: state?.detail,
    host: state?.host,
    protocol: state?.protocol,
    retryAt: state?.retryAt,
    payloadLimit: session?.payloadLimit,
  };
}
