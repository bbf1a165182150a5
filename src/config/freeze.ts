/**
 * Freezes plain objects and lists all the way down and returns the same value. Instances of classes stay as they are: a
 * buffer cannot be frozen, and what a schema makes of its input is its own business.
 */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && isPlain(value) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) {
      deepFreeze(inner);
    }
  }
  return value;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === Object.prototype || prototype === null;
}
