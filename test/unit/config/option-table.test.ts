import { describe, expect, test } from "bun:test";
import { rewriteTables } from "../../../src/config/option-table.ts";
import { busConfig } from "../../support/config-connectors.ts";

const kinds = [{ name: "bus", title: "Bus", schema: busConfig }];
const END = "<!-- options:end -->";

describe("rewriteTables", () => {
  test("replaces what stands between the marks and nothing else", () => {
    const text = `# A\n\n<!-- options:begin bus -->\nold\n${END}\n\nrest $& $1\n`;
    const { text: rewritten, problems } = rewriteTables(text, kinds);
    expect(problems).toEqual([]);
    expect(rewritten).toStartWith("# A\n\n<!-- options:begin bus -->\n| Option | Type |");
    expect(rewritten).toEndWith(`${END}\n\nrest $& $1\n`);
    expect(rewritten).toContain("| `broker.host` | text | **required** | Host. *(reference)* |");
    expect(rewritten).toContain("| `devices[].period` | number, ms | `1000` | Poll period. |");
    expect(rewritten).not.toContain("old");
  });

  test("a second run changes nothing", () => {
    const once = rewriteTables(`<!-- options:begin bus -->\n${END}\n`, kinds).text;
    expect(rewriteTables(once, kinds).text).toBe(once);
  });

  test("a path limits the table to the options below it", () => {
    const { text } = rewriteTables(`<!-- options:begin bus devices -->\n${END}\n`, kinds);
    expect(text).toContain("| `name` |");
    expect(text).not.toContain("broker");
  });

  test("an unknown name or a missing end is a problem and changes nothing", () => {
    const unknown = `<!-- options:begin buss -->\n${END}\n`;
    expect(rewriteTables(unknown, kinds)).toMatchObject({ text: unknown });
    expect(rewriteTables(unknown, kinds).problems).toHaveLength(1);
    const open = "<!-- options:begin bus -->\nno end\n";
    expect(rewriteTables(open, kinds)).toMatchObject({ text: open });
    expect(rewriteTables(open, kinds).problems).toHaveLength(1);
  });
});
