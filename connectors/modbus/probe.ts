import type { ConnectorHost, Finding, ProbeArgs } from "#sdk/connector";
import { textOf } from "#sdk/encode";
import { RejectedError } from "#sdk/errors";
import type { Json } from "#sdk/model";
import { ModbusClient } from "./client.ts";
import { createDecoder } from "./decoder.ts";
import { isGatewaySilence, ModbusException, NoAnswer } from "./failures.ts";
import { type Line, lineName } from "./line.ts";
import { findMatches, type Match } from "./probe-match.ts";
import { parseExpected, proposeFile, type ReadTable, type Words } from "./proposal.ts";

/** Flags of `tbgw probe modbus`. */
export const probeArgs = {
  target: {
    type: "positional",
    description: "HOST, HOST:PORT, or the path of a serial port",
    valueHint: "HOST|/dev/tty…",
    required: true,
  },
  unit: {
    type: "string",
    description: "Unit id or range; without it they are searched",
    valueHint: "1-10",
  },
  expect: {
    type: "string",
    description:
      "Value the device shows now: finds where and how it is stored; several as voltage=229.01,state=3",
    valueHint: "VALUE",
  },
  registers: {
    type: "string",
    description: "Addresses to look at (default 0-255)",
    valueHint: "0-255",
  },
  method: { type: "string", description: "socket, rtu or ascii", valueHint: "NAME" },
  udp: { type: "boolean", description: "UDP instead of TCP" },
  baudrate: {
    type: "string",
    description: "Serial: bits per second (default 19200)",
    valueHint: "N",
  },
  parity: { type: "string", description: "Serial: N, E or O (default N)", valueHint: "N" },
  stopbits: { type: "string", description: "Serial: 1 or 2 (default 1)", valueHint: "1" },
  timeout: { type: "string", description: "Wait for one answer (default 500)", valueHint: "MS" },
} as const satisfies ProbeArgs;

type Options = Readonly<Record<string, string | boolean>>;

/** Units tried first: most devices are one of them. */
const LIKELY_UNITS = [1, 255, 0];
const MAX_UNIT = 247;
/** Registers read with one request; refused ranges are halved. */
const CHUNK = 64;
/** Requests in a row without an answer after which a table is given up. */
const MAX_SILENCES = 2;
/** Lines of a finding that lists values. */
const MAX_LISTED = 40;
const TABLES = { 3: "holding registers", 4: "input registers" } as const;

/** Looks at a device: which units answer, what its registers hold, and where an expected value stands. Writes nothing. */
export async function* probeModbus(
  options: Options,
  tools: Pick<ConnectorHost, "clock" | "log">,
  signal: AbortSignal,
): AsyncIterable<Finding> {
  const line = lineOfOptions(options);
  const timeoutMs = numberOption(options, "timeout", 500);
  const registers = rangeOption(options, "registers") ?? [0, 255];
  const units = rangeOption(options, "unit");
  await using client = await ModbusClient.open(line, { ...tools, timeoutMs: 5000 }, signal);
  yield { text: `Connected: ${lineName(line)}` };
  const scan = new Scan({ client, timeoutMs, signal });
  const expected = parseExpected(textOption(options, "expect", ""));
  const tables: ReadTable[] = [];
  for await (const unit of scan.units(units, line.kind === "serial")) {
    yield { text: `Unit ${unit} answers` };
    for (const code of [3, 4] as const) {
      const words = await scan.registers(unit, code, registers);
      tables.push({ unit, code, words });
      yield* expected.length === 0 ? listFindings(words, unit, code) : [];
      for (const { text } of expected) {
        yield* matchFindings(words, { unit, code, expect: text });
      }
    }
  }
  if (scan.answered === 0) {
    yield { text: "No unit answers. Check wiring, speed, parity, and the unit id (--unit)." };
    return;
  }
  const config = proposeFile(line, tables, expected);
  yield config === undefined
    ? { text: `Nothing to propose: ${expected.length === 0 ? "all registers are 0" : "no match"}` }
    : { text: "A connector file to begin with:", config };
}

/** Requests of a probe, one after the other. */
class Scan {
  readonly #client: ModbusClient;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal;
  answered = 0;

  constructor(options: {
    readonly client: ModbusClient;
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
  }) {
    this.#client = options.client;
    this.#timeoutMs = options.timeoutMs;
    this.#signal = options.signal;
  }

  /** The units that answer, also with an exception. */
  async *units(
    range: readonly [number, number] | undefined,
    isSerial: boolean,
  ): AsyncIterable<number> {
    const [first, last] = range ?? [1, MAX_UNIT];
    const all = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    const likely = range === undefined && !isSerial ? LIKELY_UNITS : [];
    for (const unit of new Set([...likely, ...all])) {
      this.#signal.throwIfAborted();
      if ((await this.#read(unit, 3, [0, 1])) !== "silent") {
        this.answered += 1;
        yield unit;
        if (range === undefined && !isSerial) {
          // Over TCP a device mostly answers every unit.
          return;
        }
      }
    }
  }

  /** What can be read of a range of registers. */
  async registers(
    unit: number,
    code: 3 | 4,
    [first, last]: readonly [number, number],
  ): Promise<Words> {
    const words = new Map<number, number>();
    let silences = 0;
    // A table that a device does not have may be answered by nothing at all.
    for (let address = first; address <= last && silences < MAX_SILENCES; address += CHUNK) {
      const count = Math.min(CHUNK, last - address + 1);
      const isHeard = await this.#collect({ unit, code, words }, address, count);
      silences = isHeard ? 0 : silences + 1;
    }
    return words;
  }

  /** Resolves with whether there was any answer. */
  async #collect(
    place: { readonly unit: number; readonly code: 3 | 4; readonly words: Map<number, number> },
    address: number,
    count: number,
  ): Promise<boolean> {
    this.#signal.throwIfAborted();
    const found = await this.#read(place.unit, place.code, [address, count]);
    if (found === "silent") {
      return false;
    }
    if (found === "refused") {
      if (count > 1) {
        const half = Math.ceil(count / 2);
        await this.#collect(place, address, half);
        await this.#collect(place, address + half, count - half);
      }
      return true;
    }
    for (let index = 0; index < count; index += 1) {
      place.words.set(
        address + index,
        ((found[2 * index] ?? 0) << 8) | (found[2 * index + 1] ?? 0),
      );
    }
    return true;
  }

  async #read(
    unit: number,
    functionCode: 3 | 4,
    [address, count]: readonly [number, number],
  ): Promise<Uint8Array | "refused" | "silent"> {
    try {
      const request = { functionCode, unit, address, count };
      return (await this.#client.send(request, this.#timeoutMs)).bytes;
    } catch (error) {
      if (error instanceof NoAnswer || isGatewaySilence(error)) {
        this.#client.discard();
        return "silent";
      }
      if (error instanceof ModbusException) {
        return "refused";
      }
      throw error;
    }
  }
}

function* listFindings(words: Words, unit: number, code: 3 | 4): Iterable<Finding> {
  for (const run of runsOf([...words.keys()])) {
    const last = run.at(-1) ?? 0;
    const held = run.filter((address) => words.get(address) !== 0);
    const shown = held.slice(0, MAX_LISTED).map((address) => `${address}=${words.get(address)}`);
    const more = held.length > shown.length ? ` and ${held.length - shown.length} more` : "";
    const values = held.length === 0 ? "all 0" : `${shown.join(" ")}${more}`;
    const address = run.length === 1 ? run[0] : `${run[0]}-${last}`;
    yield {
      text: `Unit ${unit}, ${TABLES[code]} ${run[0]} to ${last}: ${values}`,
      config: {
        tag: "r_${address}",
        type: "16uint",
        functionCode: code,
        objectsCount: 1,
        address: address ?? 0,
      },
    };
  }
}

function runsOf(addresses: readonly number[]): readonly (readonly number[])[] {
  const runs: number[][] = [];
  for (const address of addresses) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1) === address - 1) {
      run.push(address);
    } else {
      runs.push([address]);
    }
  }
  return runs;
}

function* matchFindings(
  words: Words,
  { unit, code, expect }: { readonly unit: number; readonly code: 3 | 4; readonly expect: string },
): Iterable<Finding> {
  for (const match of findMatches(words, expect)) {
    const { address, type, byteOrder, wordOrder } = match;
    yield {
      text: `Unit ${unit}, ${TABLES[code]} ${address}: ${type} in byte order ${byteOrder} and word order ${wordOrder} is ${valueText(words, match, code)}`,
      config: configOf(match, code),
    };
  }
}

/** The line to paste; the orders belong to the device. */
function configOf({ address, type, objectsCount, divider }: Match, code: 3 | 4): Json {
  const scale = divider === undefined ? {} : { divider };
  return { tag: "value", type, functionCode: code, objectsCount, address, ...scale };
}

function valueText(words: Words, match: Match, functionCode: 3 | 4): string {
  const { address, type, objectsCount, divider, byteOrder, wordOrder } = match;
  const settings = { functionCode, type, objectsCount, divider };
  const decoder = createDecoder(settings, { byteOrder, wordOrder });
  const view = new DataView(new ArrayBuffer(2 * decoder.length));
  for (let index = 0; index < decoder.length; index += 1) {
    view.setUint16(2 * index, words.get(address + index) ?? 0);
  }
  return textOf(decoder.decode(view, 0) ?? null);
}

function lineOfOptions(options: Options): Line {
  const target = textOption(options, "target", "");
  const method = textOption(options, "method", "");
  if (target.startsWith("/")) {
    const parity = textOption(options, "parity", "N").toUpperCase();
    return {
      kind: "serial",
      framing: method === "ascii" ? "ascii" : "rtu",
      serial: {
        path: target,
        baudRate: numberOption(options, "baudrate", 19_200),
        dataBits: 8,
        parity: parity === "E" || parity === "O" ? parity : "N",
        stopBits: numberOption(options, "stopbits", 1),
        rs485: false,
        localEcho: false,
      },
    };
  }
  const [, host = target, port] = /^\[?(.+?)\]?(?::(\d+))?$/.exec(target) ?? [];
  return {
    kind: options["udp"] === true ? "udp" : "tcp",
    framing: method === "rtu" || method === "ascii" ? method : "socket",
    host,
    port: Number(port ?? 502),
    tls: undefined,
  };
}

function textOption(options: Options, name: string, fallback: string): string {
  const value = options[name];
  return typeof value === "string" ? value : fallback;
}

function numberOption(options: Options, name: string, fallback: number): number {
  const value = options[name];
  const number = typeof value === "string" ? Number(value) : fallback;
  if (!(number > 0)) {
    throw new RejectedError(`--${name} must be a number above 0, but is "${String(value)}"`);
  }
  return number;
}

function rangeOption(options: Options, name: string): readonly [number, number] | undefined {
  const value = options[name];
  if (typeof value !== "string") {
    return undefined;
  }
  const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(value) ?? [];
  if (first === undefined || Number(last) < Number(first) || Number(last) > 65_535) {
    throw new RejectedError(
      `--${name} must be a number or a range such as 1-10, but is "${value}"`,
    );
  }
  return [Number(first), Number(last)];
}
