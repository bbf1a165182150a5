import { describe, expect, test } from "bun:test";
import {
  countText,
  durationText,
  labelled,
  rateText,
  sizeText,
} from "../../../src/service/plain-words.ts";

describe("plain words", () => {
  test("durationText() names the two largest units", () => {
    const cases: readonly [number, string][] = [
      [0, "0 s"],
      [-5, "0 s"],
      [4200, "4 s"],
      [59_000, "59 s"],
      [2_280_000, "38 min"],
      [3_600_000, "1 h"],
      [7_500_000, "2 h 5 min"],
      [961_200_000, "11 d 3 h"],
      [864_000_000, "10 d"],
    ];
    for (const [ms, text] of cases) {
      expect(durationText(ms)).toBe(text);
    }
  });

  test("sizeText(), countText() and rateText() stay readable over the whole range", () => {
    expect([512, 12_288, 1_073_741_824, 9.5 * 1024 ** 3].map(sizeText)).toEqual([
      "512 B",
      "12.0 KiB",
      "1.0 GiB",
      "9.5 GiB",
    ]);
    expect(countText(1_001_246)).toBe("1,001,246");
    expect([0, 0.05, 12.345, 1249.5].map(rateText)).toEqual(["0", "0.05", "12.3", "1,250"]);
  });

  test("labelled() breaks between words within 80 columns, below the begin of the text", () => {
    const text = labelled("Uplink", "word ".repeat(40).trim(), 13);
    const lines = text.split("\n");
    expect(lines.length).toBeGreaterThan(2);
    expect(lines.every((line) => line.length <= 80)).toBe(true);
    expect(lines[0]?.startsWith("Uplink       word word")).toBe(true);
    expect(lines[1]?.startsWith("             word word")).toBe(true);
  });

  test("labelled() puts a text below a label that is too long, and leaves no terminal codes in", () => {
    expect(labelled("a very long label", "text", 8)).toBe("a very long label\n        text");
    expect(labelled("x", "red \u001B[31m\u0007\u202E text", 3)).toBe("x  red ?[31m?? text");
  });
});
