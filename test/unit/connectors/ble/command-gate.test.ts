import { expect, test } from "bun:test";
import { CommandGate } from "../../../../connectors/ble/command-gate.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

const command = (opcode: number, ...body: readonly number[]): Uint8Array =>
  Uint8Array.of(1, opcode & 0xff, opcode >> 8, body.length, ...body);
const complete = (room: number, opcode: number): Uint8Array =>
  Uint8Array.of(4, 0x0e, 4, room, opcode & 0xff, opcode >> 8, 0);
const status = (room: number, opcode: number): Uint8Array =>
  Uint8Array.of(4, 0x0f, 4, 0, room, opcode & 0xff, opcode >> 8);

function gate(passive = false): {
  readonly gate: CommandGate;
  readonly clock: FakeClock;
  readonly sent: Uint8Array[];
  readonly stuck: string[];
} {
  const clock = new FakeClock();
  const sent: Uint8Array[] = [];
  const stuck: string[] = [];
  const target = {
    send: (packet: Uint8Array) => sent.push(packet),
    stuck: (error: Error) => stuck.push(error.message),
    passive,
  };
  return { gate: new CommandGate(clock, target), clock, sent, stuck };
}

test("a command waits until the controller has room; data does not", () => {
  const { gate: one, sent } = gate();
  const data = Uint8Array.of(2, 1, 0, 0, 0);
  one.write(command(0x0c03));
  one.write(command(0x1001));
  one.write(command(0x1009));
  one.write(data);
  expect(sent).toEqual([command(0x0c03), data]);
  one.answered(complete(0, 0x0c03));
  expect(sent).toHaveLength(2);
  one.answered(status(1, 0));
  expect(sent.at(-1)).toEqual(command(0x1001));
  one.answered(complete(1, 0x1001));
  expect(sent.at(-1)).toEqual(command(0x1009));
});

test("a controller that does not answer is said after 5 s, one that does is not", async () => {
  const { gate: one, clock, stuck } = gate();
  one.write(command(0x1001));
  one.answered(complete(1, 0x1001));
  await clock.advance(60_000);
  expect(stuck).toEqual([]);
  one.write(command(0x1009));
  await clock.advance(5000);
  expect(stuck).toEqual(["The Bluetooth adapter does not answer"]);
});

test("passive scanning: the scan type is changed on its way out", () => {
  const { gate: one, sent } = gate(true);
  one.write(command(0x200b, 1, 0x10, 0, 0x10, 0, 0, 0));
  one.answered(complete(1, 0x200b));
  one.write(command(0x2041, 0, 0, 5, 1, 0x10, 0, 0x10, 0, 1, 0x10, 0, 0x10, 0));
  expect(sent[0]?.[4]).toBe(0);
  expect([sent[1]?.[7], sent[1]?.[12]]).toEqual([0, 0]);
});
