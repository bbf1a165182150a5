import {
  DataError,
  defineUplink,
  type Json,
  type ReportStrategy,
  toReportStrategy,
  type Values,
} from "tbgw/sdk";
import { type SerialItem, serialDevice } from "./serial-config.ts";
import { readPart } from "./serial-part.ts";

/** Reads the values of `telemetry` and `attributes` of a device out of each of its messages. A value that is not there costs only itself. */
export default defineUplink({
  name: "SerialUplinkConverter",
  type: "serial",
  schema: serialDevice,
  create: ({ deviceType, telemetry, attributes, reportStrategy }) => {
    const strategy = toReportStrategy(reportStrategy);
    const keyStrategies = strategiesOf([...telemetry, ...attributes]);
    return ({ payload, deviceName, receivedTs }, onBadPoint) => {
      const read = (items: readonly SerialItem[]): Values => readAll(items, payload, onBadPoint);
      return {
        deviceName,
        deviceType,
        receivedTs,
        telemetry: telemetry.length === 0 ? [] : [{ values: read(telemetry) }],
        attributes: read(attributes),
        ...(strategy === undefined ? {} : { strategy }),
        ...(keyStrategies === undefined ? {} : { keyStrategies }),
      };
    };
  },
});

function readAll(
  items: readonly SerialItem[],
  payload: Uint8Array,
  onBadPoint: (error: DataError) => void,
): Values {
  const values: Record<string, Json> = {};
  for (const item of items) {
    try {
      values[item.key] = readPart(payload, item);
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      onBadPoint(new DataError(`Cannot read "${item.key}": ${error.message}`));
    }
  }
  return values;
}

function strategiesOf(
  items: readonly SerialItem[],
): Readonly<Record<string, ReportStrategy>> | undefined {
  const own: Record<string, ReportStrategy> = {};
  for (const { key, reportStrategy } of items) {
    const strategy = toReportStrategy(reportStrategy);
    if (strategy !== undefined) {
      own[key] = strategy;
    }
  }
  return Object.keys(own).length === 0 ? undefined : own;
}
