// The queue of noble's pinned version, with a peripheral that answers by script behind it.
import { expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import Gatt from "@abandonware/noble/lib/hci-socket/gatt.js";
import { version } from "@abandonware/noble/package.json";
import fc from "fast-check";
import type { Characteristic } from "../../../../connectors/ble/gatt-client.ts";
import { GattClient } from "../../../../connectors/ble/gatt-client.ts";
import { DataError, RejectedError } from "../../../../src/sdk/errors.ts";
import { runs } from "../../../support/property-runs.ts";

const ATT_CHANNEL = 4;

/** What the peripheral answers to a request; `undefined`: nothing. */
type Answer = (request: Buffer) => readonly number[] | undefined;

function connect(
  answer: Answer,
  pairing: "done" | "refused" | "off" = "refused",
): {
  readonly client: GattClient;
  readonly sent: string[];
  readonly receive: (...bytes: readonly number[]) => void;
} {
  const sent: string[] = [];
  const stream = Object.assign(new EventEmitter(), {
    encrypt: (): void => {
      sent.push("pair");
      const event = pairing === "refused" ? "encryptFail" : "encrypt";
      queueMicrotask(() => stream.emit(event, pairing === "done"));
    },
    write: (_channel: number, request: Buffer): void => {
      sent.push(request.toString("hex"));
      const bytes = answer(request);
      if (bytes !== undefined) {
        queueMicrotask(() => stream.emit("data", ATT_CHANNEL, Buffer.from(bytes)));
      }
    },
  });
  return {
    client: new GattClient(new Gatt("f0:f1:f2:f3:f4:01", stream)),
    sent,
    receive: (...bytes) => stream.emit("data", ATT_CHANNEL, Buffer.from(bytes)),
  };
}

const refused = (request: Buffer, code: number): readonly number[] => [
  1,
  request[0] ?? 0,
  0,
  0,
  code,
];

const LABEL: Characteristic = {
  uuid: "2a00",
  handle: 3,
  declaration: 2,
  endHandle: 5,
  properties: ["read", "write", "notify"],
  service: { startHandle: 1, endHandle: 5, uuid: "1800" },
};

test("the pinned version of noble is the one this was written for", () => {
  expect(version).toBe("1.9.2-26");
  const broken: unknown = new EventEmitter();
  // @ts-expect-error: it is none
  expect(() => new GattClient(broken)).toThrow("not the one of the pinned version");
});

test("services and characteristics with the same UUID are all found", async () => {
  const { client, sent } = connect((request) => {
    const from = request.readUInt16LE(1);
    if (request[0] === 0x10) {
      return from === 1
        ? [0x11, 6, 1, 0, 6, 0, 0x0f, 0x18, 7, 0, 9, 0, 0x0f, 0x18]
        : refused(request, 0x0a);
    }
    if (from === 1) {
      return [9, 7, 2, 0, 0x12, 3, 0, 0x19, 0x2a, 5, 0, 0x02, 6, 0, 0x19, 0x2a];
    }
    return from === 7 ? [9, 7, 8, 0, 0x0a, 9, 0, 0x19, 0x2a] : refused(request, 0x0a);
  });
  const found = await client.discover();
  expect(
    found.map(({ uuid, handle, declaration, endHandle, properties }) => [
      uuid,
      declaration,
      handle,
      endHandle,
      properties.join(),
    ]),
  ).toEqual([
    ["2a19", 2, 3, 4, "read,notify"],
    ["2a19", 5, 6, 6, "read"],
    ["2a19", 8, 9, 9, "read,write"],
  ]);
  expect(found.map(({ service }) => service.startHandle)).toEqual([1, 1, 7]);
  // Nothing is asked behind the last handle of a service.
  expect(sent).toHaveLength(4);
});

test("a long value is read to its end, also where the peripheral refuses to read on", async () => {
  const full = Array.from({ length: 22 }, (_, index) => index);
  const { client } = connect((request) =>
    request[0] === 0x0a
      ? [0x0b, ...full]
      : request.readUInt16LE(3) === 22
        ? [0x0d, ...full]
        : [0x0d, 99],
  );
  expect([...(await client.read(3))]).toEqual([...full, ...full, 99]);
  const short = connect((request) =>
    request[0] === 0x0a ? [0x0b, ...full] : refused(request, 0x0b),
  );
  expect([...(await short.client.read(3))]).toEqual(full);
});

test("a long value is written whole or not at all", async () => {
  let isWilling = true;
  const { client, sent } = connect((request) => {
    if (request[0] === 0x16) {
      return isWilling || request.readUInt16LE(3) === 0
        ? [0x17, ...request.subarray(1)]
        : refused(request, 0x0d);
    }
    return [request[0] === 0x18 ? 0x19 : 0x13];
  });
  await client.write(3, new Uint8Array(20));
  expect(sent).toHaveLength(1);
  await client.write(3, new Uint8Array(40).fill(7));
  expect(sent.slice(1).map((text) => text.slice(0, 10))).toEqual([
    "1603000000",
    "1603001200",
    "1603002400",
    "1801",
  ]);
  isWilling = false;
  const before = sent.length;
  await expect(client.write(3, new Uint8Array(40))).rejects.toThrow("wrong length (0x0d)");
  expect(sent.slice(before).at(-1)).toBe("1800");
  // Without a response there is no long write.
  await expect(client.writeCommand(3, new Uint8Array(21))).rejects.toThrow(RejectedError);
  await client.writeCommand(3, Uint8Array.of(1, 2));
  expect(sent.at(-1)).toBe("5203000102");
});

test("notifications go to the characteristic they are of; an indication is confirmed", async () => {
  const { client, sent, receive } = connect((request) =>
    request[0] === 0x08 ? [9, 4, 4, 0, 0, 0] : [0x13],
  );
  const heard: string[] = [];
  await client.subscribe(LABEL, (bytes) => heard.push(Buffer.from(bytes).toString("hex")));
  expect(sent).toEqual(["08020005000229", "1204000100"]);
  await client.subscribe({ ...LABEL, handle: 9, properties: ["indicate"] }, () =>
    heard.push("other"),
  );
  expect(sent.at(-1)).toBe("1204000200");
  receive(0x1b, 3, 0, 0xaa);
  receive(0x1b, 4, 0, 0xbb);
  receive(0x1d, 9, 0, 0xcc);
  expect(heard).toEqual(["aa", "other"]);
  expect(sent.at(-1)).toBe("1e");
  client.close();
  receive(0x1b, 3, 0, 0xdd);
  expect(heard).toHaveLength(2);
});

test("a job that nobody waits for any more is not mixed with the next one", async () => {
  const { client, sent } = connect((request) => [(request[0] ?? 0) + 1, ...request.subarray(1)]);
  await Promise.all([client.write(3, new Uint8Array(40)), client.read(5)]);
  expect(sent.map((text) => text.slice(0, 2))).toEqual(["16", "16", "16", "18", "0a"]);
});

test.each([
  ["an invalid request", 0x04, "refused", "invalid request (0x04)"],
  ["a need of pairing, which it refuses", 0x05, "refused", "it needs pairing, which has failed"],
  ["a need of encryption, which fails", 0x0f, "off", "it needs pairing, which has failed"],
] as const)("%s costs its own request, and no other", async (...[, code, pairing, text]) => {
  const { client } = connect(
    (request) => (request.readUInt16LE(1) === 3 ? refused(request, code) : [0x0b, 42]),
    pairing,
  );
  const both = await Promise.allSettled([client.read(3), client.read(5)]);
  expect(both).toEqual([
    { status: "rejected", reason: new RejectedError(`The peripheral refuses: ${text}`) },
    { status: "fulfilled", value: Uint8Array.of(42) },
  ]);
});

test("after pairing the request is asked again", async () => {
  let count = 0;
  const { client, sent } = connect((request) => {
    count += 1;
    return count === 1 ? refused(request, 0x05) : [0x0b, 42];
  }, "done");
  expect(await client.read(3)).toEqual(Uint8Array.of(42));
  expect(sent).toEqual(["0a0300", "pair", "0a0300"]);
});

test("whatever a peripheral answers, there is a result or a counted error, and an end", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 30 }), { maxLength: 6 }),
      fc.boolean(),
      async (answers, isLikely) => {
        const left = [...answers];
        const { client } = connect((request) => {
          const bytes = left.shift();
          if (bytes === undefined) {
            return refused(request, 0x0a);
          }
          const opcode = isLikely ? (request[0] ?? 0) + 1 : (bytes[0] ?? 0) | 1;
          // noble takes notifications for what they are.
          const isNotification = opcode === 0x1b || opcode === 0x1d;
          return isNotification ? refused(request, 0x0a) : [opcode, ...bytes.subarray(1)];
        });
        for (const job of [
          () => client.discover(),
          () => client.descriptors(LABEL),
          () => client.read(3),
          () => client.write(3, new Uint8Array(50)),
          () => client.subscribe(LABEL, () => undefined),
        ]) {
          await job().catch((error: unknown) => {
            expect(error instanceof DataError || error instanceof RejectedError).toBe(true);
          });
        }
      },
    ),
    { numRuns: runs(500) },
  );
});
