import type { LogRecord } from "#sdk/logger";
import { channelOf, isConnectorChannel, PYTHON_LEVELS } from "./levels.ts";
import { formatTime } from "./python-time.ts";
import { messageText } from "./stdout.ts";

/** Turns a line into text without a line break at the end. */
export type LineFormat = (record: LogRecord) => string;

/** A format string of Python's `logging`, understood; `problems` says in words what of it was not. */
export interface CompiledFormat {
  readonly render: LineFormat;
  readonly problems: readonly string[];
}

/** Where the seconds of a time end and its milliseconds begin when there is no `datefmt`. */
const DEFAULT_DATE = "%Y-%m-%d %H:%M:%S";

/** The line of the Python gateway on its way to the platform, where the dashboard looks for `|LEVEL|` and the first `[`. */
export const REMOTE_FORMAT =
  "%(asctime)s - |%(levelname)s|<%(threadName)s> [%(filename)s] - %(module)s %(funcName)s - %(lineno)d - %(message)s";

/** The facts of a record that a format may name. The place in the source is that of the Python gateway's part of the same name. */
const FACTS: Readonly<Record<string, (record: LogRecord, datefmt: string | undefined) => string>> =
  {
    asctime: ({ ts }, datefmt) =>
      datefmt === undefined
        ? `${formatTime(DEFAULT_DATE, ts)},${String(milliseconds(ts)).padStart(3, "0")}`
        : formatTime(datefmt, ts),
    created: ({ ts }) => String(ts / 1000),
    msecs: ({ ts }) => String(milliseconds(ts)),
    levelname: ({ level }) => PYTHON_LEVELS[level].name,
    levelno: ({ level }) => String(PYTHON_LEVELS[level].number),
    name: loggerName,
    filename: fileName,
    pathname: fileName,
    module: (record) => fileName(record).replace(/\.py$/, ""),
    funcName: () => "log",
    lineno: () => "0",
    message: messageText,
    thread: (record) => (threadName(record) === "main" ? "0" : "1"),
    threadName,
    process: () => String(process.pid),
    processName: () => "tbgw",
    relativeCreated: () => String(Math.round(performance.now())),
    taskName: () => "-",
  };

const PLACEHOLDER = /%(?:%|\((\w+)\)([-#0 +]*)(\d*)(?:\.(\d+))?([a-zA-Z]))/g;

/** Understands a `format` in the style of `%`. A name that is not known stays as text. */
export function compileFormat(format: string, datefmt: string | undefined): CompiledFormat {
  const parts: (string | LineFormat)[] = [];
  const problems: string[] = [];
  let end = 0;
  for (const match of format.matchAll(PLACEHOLDER)) {
    parts.push(format.slice(end, match.index));
    end = match.index + match[0].length;
    const [whole, name, flags = "", width = "", , conversion = "s"] = match;
    if (name === undefined) {
      parts.push("%");
      continue;
    }
    const fact = Object.hasOwn(FACTS, name) ? FACTS[name] : undefined;
    if (fact === undefined) {
      problems.push(`there is no "%(${name})": known are ${Object.keys(FACTS).join(", ")}`);
      parts.push(whole);
      continue;
    }
    const layout = { flags, width: Number(width), isNumber: /[dif]/.test(conversion) };
    parts.push((record) => padded(fact(record, datefmt), layout));
  }
  parts.push(format.slice(end));
  return {
    render: (record) => {
      let line = "";
      for (const part of parts) {
        line += typeof part === "string" ? part : part(record);
      }
      return line;
    },
    problems,
  };
}

function padded(
  text: string,
  layout: { readonly flags: string; readonly width: number; readonly isNumber: boolean },
): string {
  if (layout.flags.includes("-")) {
    return text.padEnd(layout.width, " ");
  }
  return text.padStart(layout.width, layout.isNumber && layout.flags.includes("0") ? "0" : " ");
}

function milliseconds(ts: number): number {
  return ((ts % 1000) + 1000) % 1000;
}

/** The converter's logger of a connector has a name of its own. */
function loggerName(record: LogRecord): string {
  const channel = channelOf(record);
  if (isConnectorChannel(channel)) {
    return channel === "converter" ? `${record.source}_converter` : record.source;
  }
  return channel;
}

/** `modbus_connector.py`: dashboards tell the lines of connectors and converters apart by it. */
function fileName(record: LogRecord): string {
  const channel = channelOf(record);
  return isConnectorChannel(channel)
    ? `${record.connectorType ?? "custom"}_${channel}.py`
    : channel;
}

/** Store and connection live in the delivery thread. */
function threadName(record: LogRecord): string {
  const channel = channelOf(record);
  return channel === "storage" || channel === "tb_connection" ? "delivery" : "main";
}
