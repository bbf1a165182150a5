import type { LinkStatus } from "../connector/host.ts";
import type { ConnectorState, ConnectorSupervisor } from "../connector/supervisor.ts";
import type { DeliveryReport } from "../delivery/port.ts";
import type { ConnectorCounters, Counters } from "./metrics.ts";

/** One connector as `tbgw status` shows it. */
export interface ConnectorStatus {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly state: ConnectorState;
  readonly link: LinkStatus | undefined;
  readonly detail: string | undefined;
  readonly restarts: number;
  readonly counters: Counters;
  /** What it could not use, by reason. */
  readonly rejected: Counters;
}

/** The whole gateway at one moment. */
export interface GatewayStatus extends DeliveryReport {
  /** How often the delivery thread failed and was replaced. */
  readonly threadRestarts: number;
  /** "not-set": the machine does not know the time; data is stored and sent once it does. */
  readonly clock: "set" | "not-set";
  readonly devices: number;
  readonly connectors: readonly ConnectorStatus[];
}

/** What a connector said about its links last. */
export interface ConnectorLink {
  readonly status: LinkStatus;
  readonly detail: string | undefined;
}

/** The state of one connector at this moment. */
export function connectorStatus(
  supervisor: ConnectorSupervisor,
  link: ConnectorLink | undefined,
  counters: ConnectorCounters,
): ConnectorStatus {
  const { id, name, type } = supervisor.setup;
  return {
    id,
    name,
    type,
    state: supervisor.state,
    link: link?.status,
    detail: link?.detail,
    restarts: supervisor.restarts,
    counters: counters.of(id),
    rejected: counters.rejectedOf(id),
  };
}
