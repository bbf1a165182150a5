/** Longest device name the platform takes. */
export const MAX_NAME_LENGTH = 255;

/** What is wrong with a record that an author's code has made, or `undefined`. Single values are the business of the pipeline. */
export function recordProblem(record: unknown): string | undefined {
  if (!isObject(record)) {
    return "it is no object";
  }
  const deviceName: unknown = Reflect.get(record, "deviceName");
  if (typeof deviceName !== "string" || deviceName.trim() === "") {
    return "deviceName is missing";
  }
  if (deviceName.length > MAX_NAME_LENGTH) {
    return `deviceName has more than ${MAX_NAME_LENGTH} characters`;
  }
  return contentProblem(record);
}

/** As `recordProblem`, without the name of the device. */
export function contentProblem(record: unknown): string | undefined {
  if (!isObject(record)) {
    return "it is no object";
  }
  const attributes: unknown = Reflect.get(record, "attributes");
  if (attributes !== undefined && !isObject(attributes)) {
    return "attributes must be an object";
  }
  if (!isTime(Reflect.get(record, "receivedTs"))) {
    return "receivedTs must be milliseconds since 1970";
  }
  const telemetry: unknown = Reflect.get(record, "telemetry");
  return telemetry === undefined ? undefined : telemetryProblem(telemetry);
}

/**
 * Values of a call that is refused as a whole, for the ledger: a record without any, or one that cannot be read, counts as one.
 */
export function refusedValues(records: readonly unknown[]): number {
  let values = 0;
  for (const record of records) {
    values += Math.max(1, valuesIn(record));
  }
  return values;
}

function valuesIn(record: unknown): number {
  if (!isObject(record) || contentProblem(record) !== undefined) {
    return 0;
  }
  const telemetry: unknown = Reflect.get(record, "telemetry");
  const entries: readonly unknown[] = Array.isArray(telemetry) ? telemetry : [];
  let values = keysOf(Reflect.get(record, "attributes"));
  for (const entry of entries) {
    values += isObject(entry) ? keysOf(Reflect.get(entry, "values")) : 0;
  }
  return values;
}

function keysOf(values: unknown): number {
  return isObject(values) ? Object.keys(values).length : 0;
}

function telemetryProblem(telemetry: unknown): string | undefined {
  if (!Array.isArray(telemetry)) {
    return "telemetry must be a list of { ts?, values }";
  }
  for (const entry of telemetry) {
    if (!isObject(entry) || !isObject(Reflect.get(entry, "values"))) {
      return "telemetry must be a list of { ts?, values }";
    }
    if (!isTime(Reflect.get(entry, "ts"))) {
      return "ts must be milliseconds since 1970";
    }
  }
  return undefined;
}

/** Also for none at all: it is the time of the arrival then. */
function isTime(ts: unknown): boolean {
  return ts === undefined || Number.isSafeInteger(ts);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
