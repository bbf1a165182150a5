import { expect, test } from "bun:test";
import { ConsoleWriter } from "../../../src/logging/console.ts";

test("ConsoleWriter keeps a bounded amount for a reader that does not read, and says what is missing", () => {
  const written: string[] = [];
  const callbacks: (() => void)[] = [];
  const writer = new ConsoleWriter({
    write: (text, done = () => undefined) => {
      written.push(text);
      callbacks.push(done);
    },
  });
  const line = `${"x".repeat(1_000_000)}\n`;
  for (let count = 0; count < 10; count += 1) {
    writer.write(line);
  }
  expect(written).toHaveLength(4);
  expect(writer.dropped).toBe(6);
  for (const done of callbacks) {
    done();
  }
  writer.write("next\n");
  expect(written.at(-1)).toBe("--- 6 lines are missing here: they were not read\nnext\n");
});
