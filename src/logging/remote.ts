import { backoffMs } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import { RejectedError } from "#sdk/errors";
import type { LogRecord } from "#sdk/logger";
import { channelOf } from "./levels.ts";
import { compileFormat, REMOTE_FORMAT } from "./python-format.ts";

/** Sends a message that is not kept; rejects at once when the platform is away or everything it takes is needed for data. */
export interface LogPublisher {
  publish(topic: string, payload: string): Promise<void>;
}

/** What remote logging needs of its surroundings. */
export interface RemoteLogsOptions {
  readonly clock: Clock;
  readonly publisher: LogPublisher;
  readonly platform: {
    readonly connected: boolean;
    onChange(listener: (connected: boolean) => void): Disposable;
  };
  /** Largest payload of one publish in bytes. */
  readonly payloadLimit: () => number;
  /** Whether a line is for the platform. */
  readonly isShipped: (record: LogRecord) => boolean;
  /** Told of lines that were left out, at most once a minute; must not come back here. */
  readonly onDropped?: (count: number) => void;
}

/** What became of the lines for the platform, since the start. */
export interface RemoteLogCounts {
  readonly shipped: number;
  /** More came than the platform takes, or it refused them. */
  readonly dropped: number;
  /** Lines of which only the beginning was sent. */
  readonly cut: number;
  readonly waiting: number;
}

/** The own device's telemetry. */
const TOPIC = "v1/devices/me/telemetry";
/** Lines that wait at most; the oldest go first. */
const MAX_WAITING = 1000;
/** Longest line in characters, whatever the platform would take: so that what waits is bounded. */
const MAX_LINE = 16_384;
/** Lines of one publish. */
const MAX_LINES = 20;
/** A line waits this long for others, and two publishes are at least so far apart. */
const GAP_MS = 250;
/** A slow platform gets fewer lines: the pause is this many times what the last publish took, up to a limit. */
const PAUSE_FACTOR = 10;
const MAX_PAUSE_MS = 30_000;
const SAID_EVERY_MS = 60_000;
const CUT_MARK = " … (cut)";

const format = compileFormat(REMOTE_FORMAT, undefined).render;

/** The telemetry keys of the gateway's own loggers. The dashboard reads the extensions' lines under another name than is written elsewhere. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  service: ["SERVICE_LOGS", "LOGS"],
  tb_connection: ["CONNECTION_LOGS", "LOGS"],
  storage: ["STORAGE_LOGS", "LOGS"],
  extension: ["EXTENSION_LOGS", "EXTENSIONS_LOGS", "LOGS"],
};

/** A line on its way: when it was said, and under which keys it goes. */
interface Line {
  readonly ts: number;
  readonly keys: readonly string[];
  readonly text: string;
}

/**
 * Sends log lines to the platform as telemetry of the gateway's own device, without ever being in the way of data: few, one
 * publish at a time, fewer when the platform is slow, none that the session would have to make room for. What is too much is
 * dropped and counted. It says nothing itself that would come back here.
 */
export class RemoteLogs implements Disposable {
  readonly #options: RemoteLogsOptions;
  readonly #platformChange: Disposable;
  readonly #waiting: Line[] = [];
  #timer: Disposable | undefined;
  #sending = false;
  #failures = 0;
  /** Lines of the next publish at most: fewer while the platform's limits do not allow as many. */
  #maxLines = MAX_LINES;
  #lastTs = 0;
  #shipped = 0;
  #dropped = 0;
  #cut = 0;
  /** Dropped and not yet told, to the platform and to the gateway. */
  #untold = 0;
  #unsaid = 0;
  #saidAtMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: RemoteLogsOptions) {
    this.#options = options;
    this.#platformChange = options.platform.onChange(() => this.#wake(GAP_MS));
  }

  get counts(): RemoteLogCounts {
    return {
      shipped: this.#shipped,
      dropped: this.#dropped,
      cut: this.#cut,
      waiting: this.#waiting.length,
    };
  }

  /** Takes a line if it is for the platform. Never waits, never throws. */
  offer(record: LogRecord): void {
    if (this.#options.isShipped(record)) {
      this.#add({ ts: record.ts, keys: keysOf(record), text: format(record) });
    }
  }

  /** Sends a text as `LOGS`, whatever the levels. */
  notice(text: string): void {
    this.#add({ ts: this.#options.clock.now(), keys: ["LOGS"], text });
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#platformChange[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #add(line: Line): void {
    if (this.#closed) {
      return;
    }
    const isLong = line.text.length > MAX_LINE;
    this.#cut += isLong ? 1 : 0;
    // Under one key and time the platform keeps one line only.
    this.#lastTs = Math.max(line.ts, this.#lastTs + 1);
    this.#waiting.push({
      ...line,
      ts: this.#lastTs,
      text: isLong ? `${headOf(line.text, MAX_LINE)}${CUT_MARK}` : line.text,
    });
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting.shift();
      this.#drop(1);
    }
    this.#wake(GAP_MS);
  }

  /** One timer, and only while there is something to send and somebody to take it. */
  #wake(delayMs: number): void {
    const { clock, platform } = this.#options;
    if (this.#waiting.length === 0 || !platform.connected || this.#sending || this.#closed) {
      return;
    }
    this.#timer ??= clock.timer(delayMs, () => {
      this.#timer = undefined;
      this.#send().catch(() => undefined); // It has counted what failed.
    });
  }

  async #send(): Promise<void> {
    const { clock, publisher } = this.#options;
    const batch = this.#take();
    if (batch === undefined) {
      return;
    }
    const startedMs = clock.monotonicMs();
    let pauseMs = GAP_MS;
    this.#sending = true;
    try {
      await publisher.publish(TOPIC, batch.payload);
      this.#shipped += batch.lines.length;
      this.#untold -= batch.told;
      this.#failures = 0;
      this.#maxLines = Math.min(MAX_LINES, this.#maxLines * 2);
      const tookMs = clock.monotonicMs() - startedMs;
      pauseMs = Math.min(MAX_PAUSE_MS, Math.max(GAP_MS, tookMs * PAUSE_FACTOR));
    } catch (error) {
      this.#failures += 1;
      this.#maxLines = Math.max(1, Math.floor(this.#maxLines / 2));
      pauseMs = backoffMs(this.#failures, Math.random());
      if (error instanceof RejectedError) {
        this.#drop(batch.lines.length);
      } else {
        this.#putBack(batch.lines);
      }
    } finally {
      this.#sending = false;
      this.#wake(pauseMs);
    }
  }

  /** Takes as many lines as one publish holds. */
  #take(): { payload: string; lines: readonly Line[]; told: number } | undefined {
    const limit = this.#options.payloadLimit();
    const told = this.#untold;
    const parts = told === 0 ? [] : [this.#lossEntry(told)];
    let size = 2 + Buffer.byteLength(parts[0] ?? "");
    const lines: Line[] = [];
    for (const line of this.#waiting) {
      const entry = entryOf(line, line.text);
      const fits = size + Buffer.byteLength(entry) + 1 <= limit;
      if (lines.length >= this.#maxLines || (!fits && lines.length > 0)) {
        break;
      }
      const part = fits ? entry : this.#cutEntry(line, limit - size - 1);
      lines.push(line);
      parts.push(part);
      size += Buffer.byteLength(part) + 1;
    }
    this.#waiting.splice(0, lines.length);
    return lines.length === 0 ? undefined : { payload: `[${parts.join(",")}]`, lines, told };
  }

  /** The beginning of a line that is larger than a publish may be. */
  #cutEntry(line: Line, room: number): string {
    this.#cut += 1;
    let text = line.text;
    let entry = entryOf(line, text);
    while (Buffer.byteLength(entry) > room && text.length > 0) {
      const share = Math.max(0, room / Buffer.byteLength(entry));
      text = headOf(text, Math.floor(text.length * Math.min(0.9, share)));
      entry = entryOf(line, `${text}${CUT_MARK}`);
    }
    return entry;
  }

  /** A line in the place of those that are missing; its time is right before the next line. */
  #lossEntry(count: number): string {
    const ts = (this.#waiting[0]?.ts ?? this.#options.clock.now()) - 1;
    const text = format({
      ts,
      level: "warn",
      source: "service",
      message: "Log lines were left out: more came than the platform takes beside the data",
      fields: { lines: count },
    });
    return entryOf({ ts, keys: KEYS["service"] ?? [] }, text);
  }

  /** The link was lost, or was needed for data: they go first the next time. */
  #putBack(lines: readonly Line[]): void {
    const room = Math.max(0, MAX_WAITING - this.#waiting.length);
    const kept = room === 0 ? [] : lines.slice(-room);
    this.#waiting.unshift(...kept);
    if (kept.length < lines.length) {
      this.#drop(lines.length - kept.length);
    }
  }

  #drop(count: number): void {
    this.#dropped += count;
    this.#untold += count;
    this.#unsaid += count;
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#saidAtMs >= SAID_EVERY_MS) {
      this.#saidAtMs = nowMs;
      this.#options.onDropped?.(this.#unsaid);
      this.#unsaid = 0;
    }
  }
}

/** The telemetry keys of a line. */
function keysOf(record: LogRecord): readonly string[] {
  const channel = channelOf(record);
  if (channel === "connector") {
    return [`${record.source}_LOGS`];
  }
  return channel === "converter" ? [`${record.source}_converter_LOGS`] : (KEYS[channel] ?? []);
}

function entryOf(line: Pick<Line, "ts" | "keys">, text: string): string {
  const json = JSON.stringify(text);
  const values = line.keys.map((key) => `${JSON.stringify(key)}:${json}`).join(",");
  return `{"ts":${line.ts},"values":{${values}}}`;
}

/** The first characters of a text, without half of a pair at the end. */
function headOf(text: string, length: number): string {
  return text.slice(0, length).toWellFormed();
}
