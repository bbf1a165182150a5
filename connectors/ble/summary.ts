import type { ConnectorHost } from "#sdk/connector";
import type { EpochMs } from "#sdk/model";

/** Devices that are named when they are not there. */
const MAX_NAMED = 5;
/** Longest reason of one device. */
const MAX_REASON_CHARS = 100;

/** How the links of a connector are, as `ConnectorHost.setStatus` takes it. */
export interface Summary {
  readonly status: Parameters<ConnectorHost["setStatus"]>[0];
  readonly detail: string;
}

/** One device: `undefined` when it is there, else what is the matter. */
export interface DeviceState {
  readonly name: string;
  readonly problem: string | undefined;
}

/** What there is to say about the devices of an adapter that works. */
export function summarize(devices: readonly DeviceState[]): Summary {
  const absent = devices.filter(({ problem }) => problem !== undefined);
  const count = `${devices.length - absent.length} of ${devices.length} devices there`;
  if (absent.length === 0) {
    return { status: "connected", detail: count };
  }
  const named = absent.slice(0, MAX_NAMED).map(({ name, problem }) => `${name}: ${problem}`);
  const more = absent.length - named.length;
  return {
    status: "degraded",
    detail: [count, ...named, ...(more > 0 ? [`and ${more} more are not there`] : [])].join("; "),
  };
}

/** What is the matter with a device that is not there. */
export function problemText(about: {
  /** Whether it is ever connected; else it is only heard. */
  readonly connects: boolean;
  /** `undefined`: never. */
  readonly heardTs: EpochMs | undefined;
  /** When it was there the last time. `undefined`: never. */
  readonly thereTs: EpochMs | undefined;
  readonly error: string | undefined;
}): string {
  const { connects, heardTs, thereTs, error } = about;
  const word = connects ? "connected" : "heard";
  const state =
    thereTs !== undefined
      ? `not ${word} since ${timeText(thereTs)}`
      : heardTs === undefined
        ? "not heard yet"
        : connects
          ? "not connected yet"
          : "heard, but without a value";
  return error === undefined ? state : `${state} (${error.slice(0, MAX_REASON_CHARS)})`;
}

/** `2026-11-27 14:02:11 UTC` */
function timeText(ts: EpochMs): string {
  return `${new Date(ts).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
