import { expect, test } from "bun:test";
import { Transcript } from "../../../../src/demo/thingsboard/transcript.ts";

test("Transcript keeps copies of the newest packets within 16 MiB and numbers all", () => {
  const transcript = new Transcript();
  const bytes = Buffer.alloc(1024 * 1024);
  for (let index = 1; index <= 40; index += 1) {
    bytes[0] = index;
    transcript.add({ atMs: 0, connection: 1, direction: "in", packet: "publish", bytes });
  }
  const entries = transcript.entries();
  expect(entries.map((entry) => entry.index)).toEqual(Array.from({ length: 16 }, (_, i) => i + 25));
  expect(entries.map((entry) => entry.bytes[0])).toEqual(entries.map((entry) => entry.index));
  transcript.clear();
  expect(transcript.entries()).toEqual([]);
});
