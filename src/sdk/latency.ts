/**
 * Times of a telemetry entry on its way, for `latencyDebugMode`: `"metadata":{"publishedTs":…,"connector":…,"receivedTs":…}`. The
 * platform refuses a message in which one of the three is missing. `publishedTs` is known last, in the other thread: it stands
 * first and has always 13 digits, so that it can be written over without reading the entry and without changing its length.
 */
const START = '{"metadata":{"publishedTs":';
const DIGITS = 13;
/** Times with 13 digits: 2001 to 2286. */
const FIRST_MS = 10 ** (DIGITS - 1);
const END_MS = 10 ** DIGITS;
/** The second letter behind the brace tells such an entry from `{"ts":`. */
const MARK_INDEX = 2;
const MARK = START.charCodeAt(MARK_INDEX);

/** Whether a time can stand in `metadata`: a provisional one of a machine that does not know the time cannot. */
export function hasLatencyDigits(ms: number): boolean {
  return ms >= FIRST_MS && ms < END_MS;
}

/** A telemetry entry with its times; `publishedTs` is the time of arrival until `publishedNow`. `values` is JSON text. */
export function latencyEntry(entry: {
  readonly ts: number;
  readonly values: string;
  readonly connector: string;
  /** One with `hasLatencyDigits`. */
  readonly receivedTs: number;
}): string {
  const { ts, values, connector, receivedTs } = entry;
  const metadata = `${receivedTs},"connector":${JSON.stringify(connector)},"receivedTs":${receivedTs}`;
  return `${START}${metadata}},"ts":${ts},"values":${values}}`;
}

/** A telemetry entry with the time at which it is published, if it carries times; any other one as it is. */
export function publishedNow(json: string, nowMs: number): string {
  if (json.charCodeAt(MARK_INDEX) !== MARK || !json.startsWith(START) || !hasLatencyDigits(nowMs)) {
    return json;
  }
  return `${START}${Math.trunc(nowMs)}${json.slice(START.length + DIGITS)}`;
}
