import { describe, expect, test } from "bun:test";
import { readPart } from "../../../../connectors/custom/serial-part.ts";
import { proposeItems } from "../../../../connectors/custom/serial-proposal.ts";
import { encodeJson } from "../../../../src/sdk/encode.ts";

/** What the proposed items read out of a message. */
function read(messages: readonly string[]): Record<string, string> {
  const message = new TextEncoder().encode(`${messages[0] ?? ""}\n`);
  return Object.fromEntries(
    proposeItems(messages).map(({ key, ...part }) => [
      String(key),
      encodeJson(readPart(message, part)),
    ]),
  );
}

describe("proposeItems()", () => {
  test("a number alone, however long", () => {
    expect(read(["9.5", "10.5"])).toEqual({ value: "9.5" });
  });

  test("numbers at the same place of each line, by the names before them", () => {
    expect(read(["temp=23.5 hum=48", "temp=24.0 hum=50"])).toEqual({ temp: "23.5", hum: "48.0" });
    expect(read(["23.5;48", "24.0;50"])).toEqual({ value_1: "23.5", value_2: "48.0" });
  });

  test("the first number where lines differ in length", () => {
    expect(read(["9.5;abc", "10.25;d"])).toEqual({ value: "9.5" });
  });

  test("a JSON object, any other text, nothing", () => {
    expect(read(['{"a":1}', '{"a":2}'])).toEqual({ data: '{"a":1}' });
    expect(read(["on", "off"])).toEqual({ text: '"on"' });
    expect(proposeItems([])).toEqual([]);
  });
});
