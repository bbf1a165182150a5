import type { ModbusRead, UplinkConverter } from "#sdk/converter";
import { setMember } from "#sdk/members";
import type { DeviceData, EpochMs, Json, ReportStrategy } from "#sdk/model";
import { coilAt } from "./bits.ts";
import type { ReadTarget } from "./items.ts";
import type { Block, Slice } from "./plan.ts";

/** A device whose values are read. */
export interface PolledDevice {
  readonly deviceName: string;
  readonly deviceType: string;
  readonly unitId: number;
  readonly byteOrder: "BIG" | "LITTLE";
  readonly wordOrder: "BIG" | "LITTLE";
  readonly strategy: ReportStrategy | undefined;
  readonly keyStrategies: Readonly<Record<string, ReportStrategy>> | undefined;
  /** An extension that takes what was read instead of our decoders. */
  readonly convert: UplinkConverter<ModbusRead> | undefined;
}

/** What one device has said in a cycle. */
interface Draft {
  receivedTs: EpochMs;
  attributes: Record<string, Json> | undefined;
  telemetry: Record<string, Json> | undefined;
  raw: ModbusRead["items"][number][];
}

/** Parts of a value that is longer than a request. */
interface Parts {
  readonly bytes: Uint8Array;
  missing: number;
}

/**
 * Collects the responses of one cycle and makes the records of its devices from them. Pure: what belongs together comes from one
 * cycle, each device is stamped with the arrival of the last response that fed it, and values of other cycles are never mixed in.
 */
export class CycleResult {
  readonly #devices: readonly PolledDevice[];
  readonly #drafts: (Draft | undefined)[] = [];
  readonly #parts = new Map<ReadTarget, Parts>();
  /** Values that are none: NaN, infinite. */
  noValues = 0;

  constructor(devices: readonly PolledDevice[]) {
    this.#devices = devices;
  }

  /** Takes a response: `bytes` are registers high byte first, or coils. `targets` are the spans the block was planned from. */
  take(
    block: Block,
    targets: readonly ReadTarget[],
    response: { readonly bytes: Uint8Array; readonly receivedTs: EpochMs },
  ): void {
    const { bytes, receivedTs } = response;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const slice of block.slices) {
      const target = targets[slice.span];
      if (target === undefined) {
        continue;
      }
      if (slice.length === target.length) {
        this.#put(target, view, slice.offset, receivedTs);
        continue;
      }
      const parts = this.#addPart(target, slice, view);
      if (parts.missing === 0) {
        this.#parts.delete(target);
        this.#put(target, new DataView(parts.bytes.buffer), 0, receivedTs);
      }
    }
  }

  /** The records of the devices that said something. */
  finish(): readonly DeviceData[] {
    const records: DeviceData[] = [];
    for (const [index, device] of this.#devices.entries()) {
      const draft = this.#drafts[index];
      if (draft === undefined) {
        continue;
      }
      if (device.convert !== undefined) {
        records.push(...device.convert(readOf(device, draft)));
      } else if (draft.attributes !== undefined || draft.telemetry !== undefined) {
        records.push(recordOf(device, draft));
      }
    }
    return records;
  }

  #put(target: ReadTarget, view: DataView, offset: number, receivedTs: EpochMs): void {
    const draft = this.#draft(target.device, receivedTs);
    if (this.#devices[target.device]?.convert !== undefined) {
      draft.raw.push({ key: target.key, section: target.section, ...rawOf(target, view, offset) });
      return;
    }
    const value = target.decoder.decode(view, offset);
    if (value === undefined) {
      this.noValues += 1;
      return;
    }
    draft[target.section] ??= {};
    setMember(draft[target.section] ?? {}, target.key, value);
  }

  #draft(device: number, receivedTs: EpochMs): Draft {
    let draft = this.#drafts[device];
    if (draft === undefined) {
      draft = { receivedTs, attributes: undefined, telemetry: undefined, raw: [] };
      this.#drafts[device] = draft;
    }
    draft.receivedTs = receivedTs;
    return draft;
  }

  #addPart(target: ReadTarget, slice: Slice, view: DataView): Parts {
    const isRegister = target.functionCode >= 3;
    let parts = this.#parts.get(target);
    if (parts === undefined) {
      const size = isRegister ? 2 * target.length : Math.ceil(target.length / 8);
      parts = { bytes: new Uint8Array(size), missing: target.length };
      this.#parts.set(target, parts);
    }
    if (isRegister) {
      const start = view.byteOffset + 2 * slice.offset;
      parts.bytes.set(new Uint8Array(view.buffer, start, 2 * slice.length), 2 * slice.from);
    } else {
      for (let index = 0; index < slice.length; index += 1) {
        if (coilAt(view, slice.offset + index)) {
          const place = slice.from + index;
          parts.bytes[place >> 3] = (parts.bytes[place >> 3] ?? 0) | (1 << (place & 7));
        }
      }
    }
    parts.missing -= slice.length;
    return parts;
  }
}

function rawOf(
  target: ReadTarget,
  view: DataView,
  offset: number,
): { readonly registers: Uint16Array } | { readonly bits: readonly boolean[] } {
  const { length, functionCode } = target;
  return functionCode <= 2
    ? { bits: Array.from({ length }, (_, index) => coilAt(view, offset + index)) }
    : {
        registers: Uint16Array.from({ length }, (_, index) => view.getUint16(2 * (offset + index))),
      };
}

function readOf(device: PolledDevice, draft: Draft): ModbusRead {
  const { deviceName, unitId, byteOrder, wordOrder } = device;
  const { receivedTs, raw } = draft;
  return { deviceName, unitId, byteOrder, wordOrder, receivedTs, items: raw };
}

function recordOf(device: PolledDevice, draft: Draft): DeviceData {
  const { deviceName, deviceType, strategy, keyStrategies } = device;
  const { receivedTs, attributes, telemetry } = draft;
  return {
    deviceName,
    deviceType,
    receivedTs,
    ...(telemetry === undefined ? undefined : { telemetry: [{ values: telemetry }] }),
    ...(attributes === undefined ? undefined : { attributes }),
    ...(strategy === undefined ? undefined : { strategy }),
    ...(keyStrategies === undefined ? undefined : { keyStrategies }),
  };
}
