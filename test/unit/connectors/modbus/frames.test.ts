import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeAscii,
  decodeMbap,
  decodeRtu,
  encodeAscii,
  encodeMbap,
  encodeRtu,
  isAnswer,
} from "../../../../connectors/modbus/frames.ts";

const bytes = (hex: string): Uint8Array => Uint8Array.fromHex(hex.replaceAll(" ", ""));
const text = (data: Uint8Array): string => new TextDecoder().decode(data);

describe("wire vectors", () => {
  test.each([
    [
      3,
      "03 000a 0004",
      "0001 0000 0006 03 03 000a 0004",
      "03 03 000a 0004 65e9",
      ":0303000A0004EC\r\n",
    ],
    [
      3,
      "03 08 e240 0001 f5c3 4148",
      "0001 0000 000b 03 03 08 e240 0001 f5c3 4148",
      "03 03 08 e240 0001 f5c3 4148 9e6c",
      ":030308E2400001F5C341488E\r\n",
    ],
    [
      3,
      "10 000a 0002 04 5678 1234",
      "0001 0000 000b 03 10 000a 0002 04 5678 1234",
      "03 10 000a 0002 04 5678 1234 e48e",
      ":0310000A00020456781234C9\r\n",
    ],
    [
      1,
      "05 0001 ff00",
      "0001 0000 0006 01 05 0001 ff00",
      "01 05 0001 ff00 ddfa",
      ":01050001FF00FA\r\n",
    ],
    [3, "83 02", "0001 0000 0003 03 83 02", "03 83 02 6131", ":03830278\r\n"],
  ] as const)("unit %p, %s", (...vector) => {
    const [unit, pdu, mbap, rtu, ascii] = vector;
    const frame = { unit, pdu: bytes(pdu) };
    expect(encodeMbap(frame, 1).toHex()).toBe(bytes(mbap).toHex());
    expect(encodeRtu(frame).toHex()).toBe(bytes(rtu).toHex());
    expect(text(encodeAscii(frame))).toBe(ascii);
    expect(decodeRtu(bytes(rtu))).toEqual(frame);
    expect(decodeAscii(ascii.trimEnd())).toEqual(frame);
    expect(decodeMbap(bytes(mbap))).toEqual({
      state: "frame",
      frame,
      transaction: 1,
      size: bytes(mbap).length,
    });
  });
});

describe("damage", () => {
  test("a changed byte is found by CRC and LRC", () => {
    const any = fc.uint8Array({ minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(any, fc.integer({ min: 1, max: 255 }), fc.nat(), (pdu, flip, at) => {
        const frame = { unit: 7, pdu };
        const rtu = encodeRtu(frame);
        const index = at % rtu.length;
        rtu[index] = (rtu[index] ?? 0) ^ flip;
        expect(decodeRtu(rtu)).toBeUndefined();
        const line = text(encodeAscii(frame)).trimEnd();
        const place = 1 + (at % (line.length - 1));
        const digit = ((Number.parseInt(line.charAt(place), 16) + 1 + (flip % 15)) % 16).toString(
          16,
        );
        expect(decodeAscii(line.slice(0, place) + digit + line.slice(place + 1))).toBeUndefined();
      }),
    );
  });

  test("any bytes are a frame, too short, or bad, and nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
        expect(["frame", "short", "bad"]).toContain(decodeMbap(data).state);
        decodeRtu(data);
        decodeAscii(text(data));
      }),
    );
  });

  test("a stream of another protocol is bad", () => {
    expect(decodeMbap(bytes("0001 0001 0006 01 03 0000 0001")).state).toBe("bad");
    expect(decodeMbap(bytes("0001 0000 0001 01 03 0000 0001")).state).toBe("bad");
    expect(decodeMbap(bytes("0001 0000 00ff 01 03 0000 0001")).state).toBe("bad");
  });
});

describe("isAnswer()", () => {
  const request = bytes("03 000a 0002");
  test.each([
    ["03 04 0001 0002", true],
    ["83 02", true],
    ["83 0200", false],
    ["03 02 0001", false],
    ["03 06 0001 0002", false],
    ["04 04 0001 0002", false],
    ["84 02", false],
  ])("a read of two registers and %s", (pdu, expected) => {
    expect(isAnswer(request, bytes(pdu))).toBe(expected);
  });

  test("a write repeats its address and quantity", () => {
    expect(isAnswer(bytes("06 0003 0001"), bytes("06 0003 0001"))).toBe(true);
    expect(isAnswer(bytes("06 0003 0001"), bytes("06 0004 0001"))).toBe(false);
    expect(isAnswer(bytes("10 0003 0001 02 0005"), bytes("10 0003 0001"))).toBe(true);
    expect(isAnswer(bytes("10 0003 0001 02 0005"), bytes("10 0003 0002"))).toBe(false);
  });
});
