import type { DataValue } from "node-opcua-client";
import { BUILTIN } from "./codec.ts";
import type { Library } from "./library.ts";
import { type Sample, sampleOf } from "./uplink.ts";

/** A change of a monitored item, as a notification has it. */
export interface Change extends Sample {
  readonly clientHandle: number;
  /** The stack's own object, where its decoder was asked: all but plain values. */
  readonly whole: DataValue | undefined;
}

/** What the stack decodes from: its bytes, and how many of them are read. */
type ByteStream = Parameters<DataValue["decode"]>[0];

/** How a value of fixed size is read. */
interface Fixed {
  readonly size: number;
  readonly read: (view: DataView, at: number) => unknown;
}

/** The encoding of a DataValue (OPC UA Part 6 §5.2.2.17). */
const HAS_VALUE = 0x01;
const HAS_STATUS = 0x02;
const HAS_SOURCE_TIME = 0x04;
const HAS_SERVER_TIME = 0x08;
const HAS_SOURCE_PICOSECONDS = 0x10;
const HAS_SERVER_PICOSECONDS = 0x20;
/** Length of an array that is not there. */
const NO_ARRAY = 0xff_ff_ff_ff;
/** From 1601, where times of OPC UA begin, to 1970. */
const EPOCH_MS = 11_644_473_600_000;
/** Units of 100 ns in a millisecond. */
const TICKS = 10_000;
/** 2^32 units: whole milliseconds, and the rest in units. */
const HIGH_MS = 429_496;
const HIGH_REST = 7296;

/** Scalars by the first byte of their Variant, which is the type alone then. */
const FIXED: readonly (Fixed | undefined)[] = fixedReaders();

/** What notifications hold, by the stack's object. */
const decoded = new WeakMap<object, readonly Change[]>();
const installed = new WeakSet<Library>();

/**
 * Lets the stack read notifications of changes with the decoder below: its own makes a dozen objects of each value, and takes two thirds of the time that
 * a value costs altogether.
 */
export function installChangeDecoder(library: Library): void {
  if (installed.has(library)) {
    return;
  }
  installed.add(library);
  const { DataChangeNotification, DiagnosticInfo } = library;
  DataChangeNotification.prototype.decode = function decode(stream: ByteStream): void {
    decoded.set(this, decodeChanges(stream, library));
    // Nothing is left for the stack, which would look for objects of its own, one for each value.
    this.monitoredItems = [];
    this.diagnosticInfos = decodeList(stream, () => {
      const info = new DiagnosticInfo();
      info.decode(stream);
      return info;
    });
  };
}

/** The changes of a part of a notification; `undefined` when it is about something else. */
export function changesOf(part: object): readonly Change[] | undefined {
  return decoded.get(part);
}

/** MonitoredItemNotification[] (OPC UA Part 4 §7.25.2). @throws RangeError when the bytes end before */
export function decodeChanges(
  stream: ByteStream,
  library: Pick<Library, "DataValue" | "StatusCodes">,
): Change[] {
  const { buffer } = stream;
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const { Good } = library.StatusCodes;
  return decodeList(stream, () => {
    const clientHandle = view.getUint32(stream.length, true);
    stream.length += 4;
    const at = stream.length;
    const mask = view.getUint8(at);
    const type = view.getUint8(at + 1);
    const fixed = (mask & (HAS_VALUE | HAS_STATUS)) === HAS_VALUE ? FIXED[type] : undefined;
    if (fixed === undefined) {
      const whole = new library.DataValue(null);
      whole.decode(stream);
      return { clientHandle, ...sampleOf(whole), whole };
    }
    const timesAt = at + 2 + fixed.size;
    const serverAt = timesAt + sizeOfTime(mask, HAS_SOURCE_TIME, HAS_SOURCE_PICOSECONDS);
    stream.length = serverAt + sizeOfTime(mask, HAS_SERVER_TIME, HAS_SERVER_PICOSECONDS);
    return {
      clientHandle,
      dataType: type,
      arrayType: 0,
      dimensions: null,
      value: fixed.read(view, at + 2),
      statusCode: Good,
      sourceMs: (mask & HAS_SOURCE_TIME) === 0 ? undefined : timeAt(view, timesAt),
      serverMs: (mask & HAS_SERVER_TIME) === 0 ? undefined : timeAt(view, serverAt),
      whole: undefined,
    };
  });
}

function decodeList<T>(stream: ByteStream, decode: () => T): T[] {
  const count = stream.buffer.readUInt32LE(stream.length);
  stream.length += 4;
  const items: T[] = [];
  if (count !== NO_ARRAY) {
    stream.checkArrayLength(count);
    for (let index = 0; index < count; index += 1) {
      items.push(decode());
    }
  }
  return items;
}

function sizeOfTime(mask: number, time: number, picoseconds: number): number {
  return ((mask & time) === 0 ? 0 : 8) + ((mask & picoseconds) === 0 ? 0 : 2);
}

/** A DateTime in ms since 1970, rounded down: exact, although its units of 100 ns do not fit a number. */
function timeAt(view: DataView, at: number): number {
  const low = view.getUint32(at, true);
  const high = view.getUint32(at + 4, true);
  return high * HIGH_MS + Math.floor((high * HIGH_REST + low) / TICKS) - EPOCH_MS;
}

function fixedReaders(): readonly (Fixed | undefined)[] {
  const readers: (Fixed | undefined)[] = [];
  readers[BUILTIN.Boolean] = { size: 1, read: (view, at) => view.getUint8(at) !== 0 };
  readers[BUILTIN.SByte] = { size: 1, read: (view, at) => view.getInt8(at) };
  readers[BUILTIN.Byte] = { size: 1, read: (view, at) => view.getUint8(at) };
  readers[BUILTIN.Int16] = { size: 2, read: (view, at) => view.getInt16(at, true) };
  readers[BUILTIN.UInt16] = { size: 2, read: (view, at) => view.getUint16(at, true) };
  readers[BUILTIN.Int32] = { size: 4, read: (view, at) => view.getInt32(at, true) };
  readers[BUILTIN.UInt32] = { size: 4, read: (view, at) => view.getUint32(at, true) };
  readers[BUILTIN.Int64] = { size: 8, read: (view, at) => view.getBigInt64(at, true) };
  readers[BUILTIN.UInt64] = { size: 8, read: (view, at) => view.getBigUint64(at, true) };
  readers[BUILTIN.Float] = { size: 4, read: (view, at) => view.getFloat32(at, true) };
  readers[BUILTIN.Double] = { size: 8, read: (view, at) => view.getFloat64(at, true) };
  return readers;
}
