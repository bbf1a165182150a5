import { describe, expect, test } from "bun:test";
import { RpcError, TransientError } from "../../../src/sdk/errors.ts";
import { Float, type Json } from "../../../src/sdk/model.ts";
import {
  answerText,
  answerTo,
  failure,
  wantedTimeoutMs,
} from "../../../src/service/rpc-answers.ts";

describe("wantedTimeoutMs", () => {
  const cases: readonly (readonly [Json | undefined, number | undefined])[] = [
    [{ timeout: 3 }, 3000],
    [{ timeout: new Float(0.5) }, 500],
    [{ timeout: "2.5" }, 2500],
    [{ timeout: 1_000_000 }, 3_600_000],
    [{ timeout: 0 }, undefined],
    [{ timeout: -1 }, undefined],
    [{ timeout: "" }, undefined],
    [{ timeout: "soon" }, undefined],
    [{ timeout: null }, undefined],
    [{}, undefined],
    ["5", undefined],
    [null, undefined],
    [undefined, undefined],
  ];
  test.each(cases)("of %p is %p", (params, expected) => {
    expect(wantedTimeoutMs(params)).toBe(expected);
  });
});

describe("answers", () => {
  test("an RpcError chooses its code, anything else is 500 with its whole cause", () => {
    expect(answerTo(new RpcError("busy", 423))).toEqual(failure("busy", 423));
    const cause = new Error("no route");
    expect(answerTo(new TransientError("Cannot reach it", { cause }))).toEqual(
      failure("Cannot reach it: no route", 500),
    );
    expect(answerTo("odd")).toEqual(failure("odd", 500));
  });

  test("text keeps what a quote in an error would break, and exact numbers", () => {
    expect(answerText(failure('say "no"', 500))).toBe(
      '{"error":"say \\"no\\"","code":500,"success":false}',
    );
    expect(answerText({ n: 2n ** 60n, f: new Float(25), x: Number.NaN })).toBe(
      '{"n":1152921504606846976,"f":25.0,"x":null}',
    );
  });
});
