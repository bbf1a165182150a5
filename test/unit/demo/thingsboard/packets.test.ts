import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { generate, type Packet, parser } from "mqtt-packet";
import {
  decodePublish,
  encodeConnack,
  encodeDisconnect,
  encodePuback,
  encodePublish,
  encodeSuback,
  encodeUnsuback,
  type Frame,
  Framer,
} from "../../../../src/demo/thingsboard/packets.ts";

/** What the reference library reads from our bytes. */
function read(bytes: Buffer, protocolVersion: number): Packet | undefined {
  const packets: Packet[] = [];
  const reader = parser({ protocolVersion });
  reader.on("packet", (packet) => packets.push(packet));
  reader.parse(bytes);
  return packets[0];
}

function frames(chunks: readonly Buffer[], limit = 1_000_000): readonly (Frame | string)[] {
  const framer = new Framer();
  const found: (Frame | string)[] = [];
  for (const chunk of chunks) {
    framer.append(chunk);
    for (let next = framer.next(limit); next !== "incomplete"; next = framer.next(limit)) {
      found.push(next);
      if (typeof next === "string") {
        return found;
      }
    }
  }
  return found;
}

describe("Framer", () => {
  test("next() finds every packet however the stream is cut", () => {
    const publish = fc.record({
      topic: fc.stringMatching(/^[a-z/]{1,20}$/),
      payload: fc.uint8Array({ maxLength: 400 }),
      qos: fc.constantFrom(0, 1),
      messageId: fc.integer({ min: 1, max: 65_535 }),
      level: fc.constantFrom(4, 5),
    });
    fc.assert(
      fc.property(
        fc.array(publish, { maxLength: 5 }),
        fc.integer({ min: 1, max: 50 }),
        (sent, size) => {
          const stream = Buffer.concat(
            sent.map(({ topic, payload, qos, messageId, level }) =>
              generate(
                {
                  cmd: "publish",
                  topic,
                  payload: Buffer.from(payload),
                  qos: qos === 0 ? 0 : 1,
                  messageId,
                  dup: false,
                  retain: false,
                },
                { protocolVersion: level },
              ),
            ),
          );
          const chunks: Buffer[] = [];
          for (let offset = 0; offset < stream.length; offset += size) {
            chunks.push(stream.subarray(offset, offset + size));
          }
          const seen = frames(chunks).map((frame, index) => {
            const level = sent[index]?.level === 5 ? 5 : 4;
            return typeof frame === "string" ? frame : decodePublish(frame, level);
          });
          expect(seen).toEqual(
            sent.map(({ topic, payload, qos, messageId }) => ({
              topic,
              payload: Buffer.from(payload),
              qos: qos === 0 ? 0 : 1,
              isDuplicate: false,
              packetId: qos === 0 ? undefined : messageId,
            })),
          );
        },
      ),
    );
  });

  test("next() refuses a length above the limit before the body arrives, and one of five bytes", () => {
    expect(frames([Buffer.from([0x30, 0x81, 0x80, 0x04])], 65_536)).toEqual(["oversize"]);
    expect(frames([Buffer.from([0x30, 0x80, 0x80, 0x04])], 65_536)).toEqual([]);
    expect(frames([Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff])])).toEqual(["malformed"]);
  });
});

describe("decodePublish()", () => {
  test("returns undefined or a publish for any body", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.integer({ min: 0, max: 15 }),
        fc.constantFrom(4, 5),
        (body, flags, level) => {
          const bytes = Buffer.from([0x30 | flags, body.length, ...body]);
          const publish = decodePublish({ bytes, bodyOffset: 2 }, level === 5 ? 5 : 4);
          expect(publish === undefined || publish.topic.length <= body.length).toBe(true);
        },
      ),
    );
  });
});

describe("encoders", () => {
  test("the reference library reads every packet", () => {
    expect(read(encodeConnack(4, true, 5), 4)).toMatchObject({
      cmd: "connack",
      sessionPresent: true,
      returnCode: 5,
    });
    expect(read(encodeConnack(5, false, 0x87), 5)).toMatchObject({
      cmd: "connack",
      sessionPresent: false,
      reasonCode: 0x87,
    });
    expect(read(encodePuback(5, 300, 0x97), 5)).toMatchObject({
      cmd: "puback",
      messageId: 300,
      reasonCode: 0x97,
    });
    expect(read(encodePuback(5, 300, 0), 5)).toMatchObject({
      cmd: "puback",
      messageId: 300,
      reasonCode: 0,
    });
    expect(read(encodePuback(4, 300, 0x97), 4)).toMatchObject({
      cmd: "puback",
      messageId: 300,
      length: 2,
    });
    expect(read(encodeSuback(5, 2, [1, 0x8f]), 5)).toMatchObject({
      cmd: "suback",
      granted: [1, 0x8f],
    });
    expect(read(encodeUnsuback(5, 2, [0, 0x11]), 5)).toMatchObject({
      cmd: "unsuback",
      granted: [0, 0x11],
    });
    expect(read(encodeUnsuback(4, 2, [0]), 4)).toMatchObject({ cmd: "unsuback", length: 2 });
    expect(read(encodeDisconnect(0x8e), 5)).toMatchObject({ cmd: "disconnect", reasonCode: 0x8e });
    for (const level of [4, 5] as const) {
      const payload = "x".repeat(300);
      const bytes = encodePublish(level, { topic: "t/é", payload, qos: 1, packetId: 65_537 });
      expect(read(bytes, level)).toMatchObject({ topic: "t/é", qos: 1, messageId: 1 });
      const quiet = read(encodePublish(level, { topic: "t", payload, qos: 0, packetId: 9 }), level);
      expect(quiet?.cmd === "publish" ? quiet.payload.toString() : "").toBe(payload);
    }
  });
});
