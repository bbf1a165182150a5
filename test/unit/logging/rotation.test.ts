import { describe, expect, test } from "bun:test";
import {
  compareRotated,
  isRotated,
  nextRollover,
  type Rotation,
  type RotationUnit,
  rotatedSuffix,
} from "../../../src/logging/rotation.ts";

function rotation(when: RotationUnit, interval = 1, maxBytes = 0): Rotation {
  return { when, interval, backupCount: 0, maxBytes };
}

/** Tuesday. */
const FROM = new Date(2023, 10, 14, 9, 13, 20).getTime();
const day = (date: number): number => new Date(2023, 10, date).getTime();

describe("nextRollover", () => {
  test.each([
    ["S", 10, FROM + 10_000],
    ["M", 5, FROM + 300_000],
    ["H", 1, FROM + 3_600_000],
    ["D", 3, FROM + 3 * 86_400_000],
    ["MIDNIGHT", 1, day(15)],
    ["MIDNIGHT", 2, day(16)],
    ["W0", 1, day(21)],
    ["W1", 1, day(15)],
    ["W6", 1, day(20)],
    ["W6", 2, day(27)],
  ] as const)("%s x %d", (when, interval, expected) => {
    expect(nextRollover(rotation(when, interval), FROM)).toBe(expected);
  });
});

test("rotatedSuffix() is as fine as the unit, and has the time where a size counts too", () => {
  expect(rotatedSuffix(rotation("D"), FROM)).toBe("2023-11-14");
  expect(rotatedSuffix(rotation("W0"), FROM)).toBe("2023-11-14");
  expect(rotatedSuffix(rotation("H"), FROM)).toBe("2023-11-14_09");
  expect(rotatedSuffix(rotation("M"), FROM)).toBe("2023-11-14_09-13");
  expect(rotatedSuffix(rotation("D", 1, 1000), FROM)).toBe("2023-11-14_09-13-20");
});

test("isRotated() knows only files that were put aside from that one", () => {
  const names = [
    "service.log.2023-11-14",
    "service.log.2023-11-14_09-13-20",
    "service.log.2023-11-14.2",
    "service.log",
    "service.log.gz",
    "service.log.2023-11-14.gz",
    "other.log.2023-11-14",
    "service.log2023-11-14",
  ];
  expect(names.filter((name) => isRotated("service.log", name))).toEqual(names.slice(0, 3));
});

test("compareRotated() puts the oldest first", () => {
  const names = [
    "a.log.2023-11-15",
    "a.log.2023-11-14.10",
    "a.log.2023-11-14.2",
    "a.log.2023-11-14",
  ];
  expect(names.toSorted(compareRotated)).toEqual(names.toReversed());
});
