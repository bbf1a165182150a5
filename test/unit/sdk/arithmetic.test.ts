import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compileArithmetic } from "#sdk/arithmetic";
import { encodeJson } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import type { Json } from "#sdk/model";
import { runs } from "../../support/property-runs.ts";

const BODY = readJson(
  '{"a":"2","b":3,"temp":22.5,"hum":58,"ok":true,"none":null,"name":"Pump","big":9007199254740993,"neg":-7,"hex":"1F",' +
    '"list":[1],"device name":4,"nested":{"x":0.125},"huge":1e400}',
);

/** The result as JSON text, `missing …` or `refused`. */
function run(expression: string, body: Json = BODY, variables: readonly string[] = []): string {
  const arithmetic = compileArithmetic(expression, variables);
  try {
    const { value, missing } = arithmetic.evaluate(body);
    return value === undefined ? `missing ${missing.join()}` : encodeJson(value);
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    expect(error).toHaveProperty("reason", "bad-value");
    return "refused";
  }
}

describe("compileArithmetic()", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["${a} * ${b}", "6"],
    ["${temp} + ${hum}", "80.5"],
    ["1 + 2 * 3", "7"],
    ["(1 + 2) * 3", "9"],
    ["7 / 2", "3.5"],
    ["6 / 2", "3.0"],
    ["7 // 2", "3"],
    ["-7 // 2", "-4"],
    ["7.5 // 2", "3.0"],
    ["-7 % 3", "2"],
    ["7 % -3", "-2"],
    ["-7.5 % 2", "0.5"],
    ["2 ** 10", "1024"],
    ["2 ** -1", "0.5"],
    ["-2 ** 2", "-4"],
    ["2 ** 3 ** 2", "512"],
    ["0.1 ** 7", "0.0000001"],
    ["100.0 ** 3", "1000000.0"],
    ["0x1F + 1", "32"],
    [".5 + 5.", "5.5"],
    ["1e3", "1000.0"],
    ["- -3", "3"],
    ["+True", "1"],
    ["~5", "-6"],
    ["6 & 3 | 8 ^ 1", "11"],
    ["1 << 4 >> 2", "4"],
    ["-1 >> 100", "-1"],
    ["1 < 2 < 3", "true"],
    ["1 < 3 < 2", "false"],
    ["1 == 1.0", "true"],
    ["1 != 2", "true"],
    ["not 0 and 1", "1"],
    ["0 or 5", "5"],
    ["not not 3", "true"],
    ["5 if ${ok} else 6", "5"],
    ["1 if 0 else 2 if 0 else 3", "3"],
    ["round(2.5)", "2"],
    ["round(3.5)", "4"],
    ["round(-2.5)", "-2"],
    ["round(2.675, 2)", "2.67"],
    ["round(0.125, 2)", "0.12"],
    ["round(0.375, 2)", "0.38"],
    ["round(1234, -2)", "1200"],
    ["round(1250, -2)", "1200"],
    ["round(1350, -2)", "1400"],
    ["round(5, 2)", "5"],
    ["round(5.0, 2)", "5.0"],
    ["round(${nested.x}, 2)", "0.12"],
    ["abs(${neg})", "7"],
    ["min(3, 1.5, 2)", "1.5"],
    ["max(3, ${temp})", "22.5"],
    ["int(7.9)", "7"],
    ["int(-7.9)", "-7"],
    ["float(7)", "7.0"],
    ["float('2.5')", "2.5"],
    ["int('12')", "12"],
    ["int('${hex}', 16)", "31"],
    ["int('0x1f', 16)", "31"],
    ["bool(${b})", "true"],
    ["str(5) + 'x'", '"5x"'],
    ["'${name}' + '-' + str(${b})", '"Pump-3"'],
    ['"${name}" == "Pump"', "true"],
    ["1 if '${ok}' == 'True' else 0", "1"],
    ["1 if ${name} == 'Pump' else 0", "1"],
    ["'it\\'s'", '"it\'s"'],
    ["${device name} + 1", "5"],
    ["${big} + 1", "9007199254740994"],
    ["9223372036854775807 + 1", '"9223372036854775808"'],
    ["${big} / 1", "9007199254740992.0"],
    ["10 ** 30 / 10 ** 29", "10.0"],
    ["(3 * 10 ** 40) / (10 ** 40)", "3.0"],
    ["None", "null"],
    ["${missing} + 1", "missing missing"],
    ["${none} + ${zz}", "missing none,zz"],
    ["${name} * 2", "refused"],
    ["${name} + 2", "refused"],
    ["${list} + 1", "refused"],
    ["${huge}", "refused"],
    ["1 / 0", "refused"],
    ["1 // 0", "refused"],
    ["1 % 0.0", "refused"],
    ["0 ** -1", "refused"],
    ["(-8) ** 0.5", "refused"],
    ["1e308 * 10", "refused"],
    ["2 ** 5000", "refused"],
    ["9 ** 9 ** 9 ** 9", "refused"],
    ["1 << 5000", "refused"],
    ["1 << -1", "refused"],
    ["1 < 'a'", "refused"],
    ["1 | 2.0", "refused"],
    ["int('12.7')", "refused"],
    ["int('zz', 16)", "refused"],
    ["round(1e400)", "refused"],
  ];
  test.each(cases)("%s gives %s", (expression, result) => {
    expect(run(expression)).toBe(result);
  });

  const refused: readonly (readonly [string, string])[] = [
    ["", "unexpected end at character 1"],
    ["1 +", "unexpected end at character 4"],
    ["(1", 'unexpected end, need ")" at character 3'],
    ["1 2", 'unexpected "2" at character 3'],
    ["value / 10", 'unexpected "value" at character 1'],
    ["__import__('os').system('x')", 'unexpected "."'],
    ["__import__('os')", 'unexpected "__import__" at character 1'],
    ["open('x')", 'unexpected "open"'],
    ["lambda: 1", 'unexpected ":"'],
    ["constructor", 'unexpected "constructor"'],
    ["toString()", 'unexpected "toString"'],
    ["[1, 2]", 'unexpected "["'],
    ["a = 1", 'unexpected "="'],
    ["round()", "wrong number of arguments of round()"],
    ["round(1, 2, 3)", "wrong number of arguments of round()"],
    ["abs(1 2)", 'need ","'],
    ["1 if 2", 'need "else"'],
    ["0x${hex}", 'unexpected "0"'],
    ["${a}${b}", "something directly behind a tag"],
    ["${a}5", "something directly behind a tag"],
    ["${a", "a tag without its closing brace"],
    ["'abc", "a text without its closing quote"],
    ["5in", 'unexpected "5"'],
    ["é", 'unexpected "é"'],
    [`${"(".repeat(100)}1${")".repeat(100)}`, "more than 64 levels"],
    [`${"2**".repeat(100)}1`, "more than 64 levels"],
    ["1+".repeat(3000), "more than 4096 characters"],
  ];
  test.each(refused)("%s is refused: %s", (expression, problem) => {
    expect(() => compileArithmetic(expression)).toThrow(problem);
    expect(() => compileArithmetic(expression)).toThrow("allowed are numbers");
    try {
      compileArithmetic(expression);
    } catch (error) {
      expect(error).toBeInstanceOf(DataError);
      expect(error).toHaveProperty("reason", "bad-expression");
    }
  });

  test.each([
    ["value / 10", 266, "26.6"],
    ["value - 65536 if value > 32767 else value", 65336, "-200"],
    ["round(value * 0.01, 2)", 266, "2.66"],
    ["value / 100", 2504, "25.04"],
    ["value ** 2", 0xffff_ffff_ffffn, '"79228162514263774643590529025"'],
  ] as const)("%s calculates with a variable", (expression, value, result) => {
    expect(run(expression, { value }, ["value"])).toBe(result);
  });

  test("lists its tags once, those inside quotes included", () => {
    expect(compileArithmetic("${a} + ${b.c} + ${a} + float('${d}')").tags).toEqual([
      "a",
      "b.c",
      "d",
    ]);
  });

  test("content of a message is never part of the expression", () => {
    const body: Json = { a: "1 + 1", b: "__import__('os')", c: "${d}", d: 5 };
    expect(run("${a} == '1 + 1'", body)).toBe("true");
    expect(run("${a} * 1", body)).toBe("refused");
    expect(run("'${c}'", body)).toBe('"${d}"');
  });

  test("integers follow Python: a == (a // b) * b + a % b, the rest has the sign of b", () => {
    fc.assert(
      fc.property(
        fc.bigInt(),
        fc.bigInt().filter((b) => b !== 0n),
        (a, b) => {
          const evaluate = (expression: string) =>
            compileArithmetic(expression).evaluate({ a, b }).value as number | bigint;
          const quotient = BigInt(evaluate("${a} // ${b}"));
          const rest = BigInt(evaluate("${a} % ${b}"));
          expect(quotient * b + rest).toBe(a);
          expect(rest === 0n || rest > 0n === b > 0n).toBe(true);
          expect(run("${a} == (${a} // ${b}) * ${b} + ${a} % ${b}", { a, b })).toBe("true");
        },
      ),
    );
  });

  test("any text compiles or is refused, and evaluation fails only with a DataError", () => {
    const piece = fc.constantFrom(
      ..."1 2.5 ${a} ${b} + - * / // % ** ( ) , < == and or not if else round min int str 'x' 0x1F << & ~ True".split(
        " ",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        try {
          compileArithmetic(pieces.join(" ")).evaluate({ a: 3, b: "4.5" });
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: runs(3000) },
    );
  });
});
