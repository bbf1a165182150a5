import {
  type ConnectorHost,
  type Finding,
  openSerialPort,
  type ProbeArgs,
  RejectedError,
} from "tbgw/sdk";
import { SerialMessages } from "./serial-messages.ts";
import { proposeItems } from "./serial-proposal.ts";

/** Arguments of `tbgw probe serial`. */
export const probeArgs = {
  target: {
    type: "positional",
    description: "The serial port",
    valueHint: "/dev/tty…",
    required: true,
  },
  baudrate: { type: "string", description: "Bits per second (default 9600)", valueHint: "N" },
  parity: { type: "string", description: "N, E or O (default N)", valueHint: "N" },
  stopbits: { type: "string", description: "1 or 2 (default 1)", valueHint: "1" },
  delimiter: {
    type: "string",
    description: "What ends a message: \\n (default), \\r, or another text",
    valueHint: "TEXT",
  },
  seconds: { type: "string", description: "How long to listen (default 10)", valueHint: "N" },
} as const satisfies ProbeArgs;

type Options = Readonly<Record<string, string | boolean>>;

const PARITY = { N: "none", E: "even", O: "odd" } as const;
/** Messages that are listed, and that a proposal is made from. */
const MAX_LISTED = 10;
const SAMPLE_LENGTH = 80;
/** The default of the connector, which need not be written down. */
const NEWLINE = "\n";

/**
 * Listens to a device on a serial port, says what it sends, and proposes a connector file. Sends nothing.
 * @throws RejectedError for an option that is none, TransientError when the port cannot be opened or is lost
 */
export async function* probeSerial(
  options: Options,
  { clock }: Pick<ConnectorHost, "clock" | "log">,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const line = lineOf(options);
  const seconds = numberOption(options, "seconds", 10);
  const delimiter = unescape(textOption(options, "delimiter", NEWLINE));
  await using port = await openSerialPort(
    {
      path: line.port,
      baudRate: line.baudrate,
      parity: PARITY[line.parity],
      stopBits: line.stopbits,
    },
    signal,
  );
  yield { text: `Listening to ${line.port} for ${seconds} s …` };
  const messages = new SerialMessages();
  const heard: string[] = [];
  let bytes = 0;
  const end = clock.deadline(seconds * 1000, signal);
  try {
    for await (const chunk of port.read(end)) {
      bytes += chunk.length;
      messages.push(chunk);
      heard.push(...takeAll(messages, delimiter));
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!end.aborted) {
      throw error;
    }
  }
  yield* report(heard, bytes, { line, delimiter });
}

function takeAll(messages: SerialMessages, delimiter: string): readonly string[] {
  const taken: string[] = [];
  for (;;) {
    const message = messages.next(delimiter);
    if (message === undefined) {
      return taken;
    }
    if (message !== "too-long") {
      taken.push(Buffer.from(message).toString().slice(0, -delimiter.length));
    }
  }
}

function* report(
  heard: readonly string[],
  bytes: number,
  { line, delimiter }: { readonly line: SerialLine; readonly delimiter: string },
): Generator<Finding> {
  // The first one may have begun before we listened.
  const whole = heard.length > 1 ? heard.slice(1) : heard;
  yield { text: `${heard.length} messages, ${bytes} bytes` };
  for (const message of whole.slice(0, MAX_LISTED)) {
    yield { text: `  ${JSON.stringify(message.slice(0, SAMPLE_LENGTH))}` };
  }
  const telemetry = proposeItems(whole.slice(0, MAX_LISTED));
  if (telemetry.length === 0) {
    yield { text: bytes === 0 ? SILENT : NO_MESSAGE };
    return;
  }
  if (whole.some((message) => message.includes("\uFFFD"))) {
    yield { text: "Some bytes are no text: the speed or the parity may be wrong" };
  }
  const { port, baudrate, parity, stopbits } = line;
  const device = {
    deviceName: "Serial device",
    port,
    baudrate,
    ...(parity === "N" ? {} : { parity }),
    ...(stopbits === 1 ? {} : { stopbits }),
    ...(delimiter === NEWLINE ? {} : { delimiter }),
    telemetry,
  };
  yield { text: "A connector file to begin with:", config: { devices: [device] } };
}

const SILENT =
  "Nothing was heard. Check the cable and the speed; a device that only answers has to be asked, by methods of the connector.";
const NO_MESSAGE =
  "No message ended. Check the speed and the parity, or say what ends a message with --delimiter.";

interface SerialLine {
  readonly port: string;
  readonly baudrate: number;
  readonly parity: keyof typeof PARITY;
  readonly stopbits: 1 | 2;
}

function lineOf(options: Options): SerialLine {
  const parity = textOption(options, "parity", "N").toUpperCase();
  const stopbits = numberOption(options, "stopbits", 1);
  if (parity !== "N" && parity !== "E" && parity !== "O") {
    throw new RejectedError(`--parity must be N, E or O, but is "${parity}"`);
  }
  if (stopbits !== 1 && stopbits !== 2) {
    throw new RejectedError(`--stopbits must be 1 or 2, but is ${stopbits}`);
  }
  const baudrate = numberOption(options, "baudrate", 9600);
  return { port: textOption(options, "target", ""), baudrate, parity, stopbits };
}

/** Shells leave `\n` as it is typed. */
function unescape(text: string): string {
  return text.replaceAll("\\r", "\r").replaceAll("\\n", NEWLINE).replaceAll("\\t", "\t");
}

function textOption(options: Options, name: string, fallback: string): string {
  const value = options[name];
  return typeof value === "string" && value !== "" ? value : fallback;
}

function numberOption(options: Options, name: string, fallback: number): number {
  const number = Number(textOption(options, name, String(fallback)));
  if (!Number.isInteger(number) || number < 1) {
    throw new RejectedError(`--${name} must be a whole number from 1`);
  }
  return number;
}
