import { expect, test } from "bun:test";
import fc from "fast-check";
import { H4Reader } from "../../../src/platform/h4.ts";

/** Any HCI packet: command, ACL, SCO, event or ISO, with a body of the length it says. */
const packet = fc
  .tuple(fc.constantFrom(1, 2, 3, 4, 5), fc.nat(0xfff), fc.uint8Array({ maxLength: 255 }))
  .map(([kind, handle, body]) => {
    const low = handle & 0xff;
    const high = handle >> 8;
    const head = {
      1: [low, high, body.length],
      2: [low, high, body.length, 0],
      3: [low, high, body.length],
      4: [low, body.length],
      5: [low, high, body.length, 0],
    }[kind];
    return Uint8Array.from([kind, ...(head ?? []), ...body]);
  });

test("packets come out as they went in, however they were split and joined", () => {
  fc.assert(
    fc.property(
      fc.array(packet, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 }),
      (packets, sizes) => {
        const stream = Buffer.concat(packets);
        const reader = new H4Reader();
        const out: Uint8Array[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          out.push(...reader.take(stream.subarray(at, at + size)));
          at += size;
        }
        expect(out).toEqual(packets);
      },
    ),
  );
});

test("what is no packet is said, with the byte", () => {
  expect(() => new H4Reader().take(Uint8Array.of(4, 0x0e, 1, 0, 0x42))).toThrow(
    "0x42 is no kind of HCI packet",
  );
});
