import { RejectedError } from "#sdk/errors";
import type { Characteristic } from "./gatt-client.ts";

/** How a connector file names a characteristic: by its UUID, its handle, or both. */
export interface Target {
  /** As `normalUuid` makes it. */
  readonly characteristicUUID?: string | undefined;
  readonly handle?: number | undefined;
}

const LAST_HANDLE = 0xffff;
/** Characteristics that are named when one is not there. */
const MAX_NAMED = 20;

/** Reads `42` or `0x002a`; `undefined`: it is no handle. */
export function readHandle(value: string | number): number | undefined {
  const isPlain = typeof value === "number" || /^(0x[0-9a-f]{1,4}|\d{1,5})$/i.test(value.trim());
  const handle = isPlain ? Number(value) : 0;
  return Number.isInteger(handle) && handle >= 1 && handle <= LAST_HANDLE ? handle : undefined;
}

/** A handle as tools for Bluetooth print it. */
export function handleText(handle: number): string {
  return `0x${handle.toString(16).padStart(4, "0")}`;
}

/** A target for a person; two with the same text are the same. */
export function targetText({ characteristicUUID, handle }: Target): string {
  if (handle === undefined) {
    return characteristicUUID ?? "";
  }
  const place = `handle ${handleText(handle)}`;
  return characteristicUUID === undefined ? place : `${characteristicUUID} at ${place}`;
}

/**
 * The characteristic of a target: with a UUID alone the first one of it. A handle is that of the value or of the declaration before it,
 * which tools name too; with a UUID beside it the characteristic must have that one. @throws RejectedError that says what there is
 */
export function findCharacteristic(
  all: readonly Characteristic[],
  { characteristicUUID: uuid, handle }: Target,
): Characteristic {
  if (handle === undefined) {
    const found = all.find((one) => one.uuid === uuid);
    if (found === undefined) {
      throw new RejectedError(`The peripheral has no characteristic ${uuid ?? ""}`);
    }
    return found;
  }
  const found = all.find((one) => one.handle === handle || one.declaration === handle);
  if (found === undefined) {
    throw new RejectedError(
      `The peripheral has no characteristic at handle ${handleText(handle)}; it has ${namesOf(all)}`,
    );
  }
  if (uuid !== undefined && found.uuid !== uuid) {
    const others = all.filter((one) => one.uuid === uuid);
    throw new RejectedError(
      `Handle ${handleText(handle)} of the peripheral is ${found.uuid}, not ${uuid}; that is ${
        others.length === 0
          ? "nowhere"
          : `at ${others.map((one) => handleText(one.handle)).join(", ")}`
      }`,
    );
  }
  return found;
}

function namesOf(all: readonly Characteristic[]): string {
  if (all.length === 0) {
    return "none";
  }
  const names = all
    .slice(0, MAX_NAMED)
    .map(({ handle, uuid }) => `${handleText(handle)} (${uuid})`);
  const more = all.length - names.length;
  return names.join(", ") + (more > 0 ? ` and ${more} more` : "");
}
