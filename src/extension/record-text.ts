import { encodeJson, encodeValues } from "#sdk/encode";
import type { DeviceData, EpochMs } from "#sdk/model";

/** A record as it would be sent. */
export interface RecordText {
  /** One line of JSON: values without any JSON form are left out, entries without a time have that of the arrival. */
  readonly text: string;
  /** How many values were left out. */
  readonly rejected: number;
}

/** Writes a record by the number rules of the wire. `nowMs` is the arrival of a record that does not say it. */
export function recordText(data: DeviceData, nowMs: EpochMs): RecordText {
  let rejected = 0;
  const valuesText = (values: Parameters<typeof encodeValues>[0]): string => {
    const encoded = encodeValues(values);
    rejected += encoded.rejected;
    return encoded.text;
  };
  const { deviceName, deviceType, telemetry, attributes, receivedTs = nowMs } = data;
  const members = [`"deviceName":${encodeJson(deviceName)}`];
  if (deviceType !== undefined) {
    members.push(`"deviceType":${encodeJson(deviceType)}`);
  }
  if (telemetry !== undefined && telemetry.length > 0) {
    const entries = telemetry.map(
      ({ ts = receivedTs, values }) => `{"ts":${ts},"values":${valuesText(values)}}`,
    );
    members.push(`"telemetry":[${entries.join(",")}]`);
  }
  if (attributes !== undefined && Object.keys(attributes).length > 0) {
    members.push(`"attributes":${valuesText(attributes)}`);
  }
  return { text: `{${members.join(",")}}`, rejected };
}
