import { describe, expect, test } from "bun:test";
import { Device, type Item } from "../../../src/thingsboard/device.ts";
import { itemCount, newPiece, openItems, type Piece } from "../../../src/thingsboard/piece.ts";
import {
  type Evidence,
  judgeClose,
  judgeRefusal,
  judgeSilence,
  type Verdict,
} from "../../../src/thingsboard/verdict.ts";

function piece(count: number): Piece {
  const device = new Device("A", "");
  const items: Item[] = Array.from({ length: count }, (_none, index) => ({
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- any integer is a cursor
    cursor: BigInt(index + 1) as Item["cursor"],
    lane: "telemetry",
    json: `{"n":${index}}`,
    bytes: 7,
    values: 1,
    points: 1,
    whole: undefined,
    done: false,
  }));
  return { ...newPiece("telemetry", [{ device, name: '"A"', items }]), order: 5 };
}

const evidence = (dataAcks: number, strayEnds = 0): Evidence => ({
  dataAcks,
  strayEnds,
  nowMs: 1000,
  random: 0,
});

function again(verdict: Verdict): readonly Piece[] {
  return "again" in verdict ? verdict.again : [];
}

describe("judgeRefusal()", () => {
  test("halves an invalid piece down to one record, and sets that aside", () => {
    const halves = again(judgeRefusal(piece(5), "invalid", evidence(0)));
    expect(halves.map(itemCount)).toEqual([3, 2]);
    expect(halves.map(({ order }) => order)).toEqual([5, 5]);
    expect(judgeRefusal(piece(1), "invalid", evidence(0))).toEqual({ quarantine: true });
  });

  test("sends a throttled piece again as it is, for ever, with growing pauses to 20 s", () => {
    const one = piece(4);
    const pauses: number[] = [];
    for (let count = 0; count < 7; count += 1) {
      expect(again(judgeRefusal(one, "throttled", evidence(0)))).toEqual([one]);
      pauses.push(one.notBeforeMs - 1000);
    }
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]);
  });

  test("divides a piece that is refused again and again, and never sets a record aside for it", () => {
    const several = piece(4);
    judgeRefusal(several, "retry", evidence(0));
    judgeRefusal(several, "retry", evidence(0));
    expect(again(judgeRefusal(several, "retry", evidence(0))).map(itemCount)).toEqual([2, 2]);
    const one = piece(1);
    for (let count = 0; count < 50; count += 1) {
      expect(again(judgeRefusal(one, "retry", evidence(count)))).toEqual([one]);
    }
  });
});

describe("judgeClose()", () => {
  test("sets a record aside after three ends, each with others passing since the one before", () => {
    const one = piece(1);
    expect(again(judgeClose(one, evidence(0), false))).toEqual([one]);
    expect(again(judgeClose(one, evidence(1), false))).toEqual([one]);
    expect(judgeClose(one, evidence(2), false)).toEqual({ quarantine: true });
  });

  test("sets nothing aside while nothing passes: that is a bad line", () => {
    const one = piece(1);
    for (let count = 0; count < 100; count += 1) {
      expect(again(judgeClose(one, evidence(7), false))).toEqual([one]);
    }
  });

  test("begins anew when something else ends a connection meanwhile: that is a bad line", () => {
    const one = piece(1);
    judgeClose(one, evidence(0), false);
    judgeClose(one, evidence(1), false);
    for (let count = 2; count < 50; count += 1) {
      expect(again(judgeClose(one, evidence(count, count), false))).toEqual([one]);
    }
    judgeClose(one, evidence(50, 49), false);
    expect(judgeClose(one, evidence(51, 49), false)).toEqual({ quarantine: true });
  });

  test("lets the device's later records go on as evidence after three ends", () => {
    const one = piece(1);
    judgeClose(one, evidence(0), false);
    judgeClose(one, evidence(0), false);
    expect(judgeClose(one, evidence(0), false)).toMatchObject({ setAside: true });
  });

  test("takes ten when the record had its PUBACK: a rate limit of MQTT 3.1.1 looks the same", () => {
    const one = piece(1);
    for (let count = 0; count < 9; count += 1) {
      expect(again(judgeClose(one, evidence(count), true))).toEqual([one]);
    }
    expect(judgeClose(one, evidence(9), true)).toEqual({ quarantine: true });
  });

  test("divides a piece in eight suspects", () => {
    const parts = again(judgeClose(piece(20), evidence(0), false));
    expect(parts.map(itemCount)).toEqual([3, 3, 3, 3, 3, 3, 2]);
    expect(parts.every(({ suspect, wary }) => suspect && wary)).toBe(true);
  });
});

describe("judgeSilence()", () => {
  test("sets a silent record aside only when others passed three times", () => {
    const one = piece(1);
    for (let count = 0; count < 20; count += 1) {
      expect(again(judgeSilence(one, evidence(0), false))).toEqual([one]);
    }
    judgeSilence(one, evidence(0), true);
    judgeSilence(one, evidence(0), true);
    expect(judgeSilence(one, evidence(0), true)).toEqual({ quarantine: true });
  });

  test("divides, leaving out what a late PUBACK has covered", () => {
    const several = piece(4);
    const [first] = openItems(several);
    if (first !== undefined) {
      first.done = true;
    }
    expect(again(judgeSilence(several, evidence(0), false)).map(itemCount)).toEqual([2, 1]);
  });
});
