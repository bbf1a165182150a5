import type { EncodedRecord } from "#sdk/batch";
import { ValuesWriter } from "#sdk/encode";
import type { EpochMs } from "#sdk/model";
import type { DeviceStates, KeyKind } from "./device-states.ts";
import type { Report } from "./report-cache.ts";

/** Values of one device and one time. */
interface Moment {
  readonly device: DeviceStates;
  readonly kind: KeyKind;
  /** `undefined` for attributes. */
  readonly ts: number | undefined;
  readonly writer: ValuesWriter;
}

/** Values of one device and one time become one record. `stamp` gives the time of a repeat. */
export function reportRecords(
  reports: readonly Report[],
  stamp: (deviceName: string, keys: readonly string[]) => EpochMs,
): readonly EncodedRecord[] {
  const moments = new Map<string, Moment>();
  for (const { device, kind, key, json, ts: sampleTs } of reports) {
    const isTelemetry = kind === "telemetry";
    const ts = isTelemetry ? (sampleTs ?? stamp(device.deviceName, [key])) : undefined;
    const place = `${kind} ${ts} ${device.connectorId} ${device.deviceName}`;
    let moment = moments.get(place);
    if (moment === undefined) {
      moment = { device, kind, ts, writer: new ValuesWriter() };
      moments.set(place, moment);
    }
    moment.writer.add(key, json);
  }
  return Array.from(moments.values(), toRecord);
}

function toRecord({ device, kind, ts, writer }: Moment): EncodedRecord {
  const { deviceName, deviceType } = device;
  const { text, count } = writer;
  const json = kind === "attributes" ? text : `{"ts":${ts},"values":${text}}`;
  return { kind, device: deviceName, deviceType, json, values: count };
}
