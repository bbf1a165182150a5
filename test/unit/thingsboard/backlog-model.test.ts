import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Cursor, StoredRecord } from "../../../src/storage/event-store.ts";
import { Backlog } from "../../../src/thingsboard/backlog.ts";
import { type Device, LANES, laneOf } from "../../../src/thingsboard/device.ts";

const NAMES = ["A", "B", "C"] as const;
const name = fc.constantFrom(...NAMES);

const commands = fc.oneof(
  fc.record({
    do: fc.constant("store" as const),
    name,
    kind: fc.constantFrom("telemetry" as const, "attributes" as const),
    count: fc.integer({ min: 1, max: 6 }),
  }),
  fc.record({ do: fc.constant("read" as const), limit: fc.integer({ min: 1, max: 4 }) }),
  // As in the plant: devices get stuck, then memory is short.
  fc.record({ do: fc.constant("stick" as const), names: fc.subarray([...NAMES]) }),
  fc.record({ do: fc.constant("free" as const), name }),
  fc.record({ do: fc.constant("send" as const), name, count: fc.integer({ min: 1, max: 4 }) }),
);
type Command = typeof commands extends fc.Arbitrary<infer T> ? T : never;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- any integer is a cursor
const at = (cursor: number): Cursor => BigInt(cursor) as Cursor;

/** A store that is a plain array, and what was sent of it by device and lane. */
class Rig {
  readonly backlog = new Backlog();
  readonly sent: string[] = [];
  readonly #stored: StoredRecord[] = [];

  get stored(): readonly StoredRecord[] {
    return this.#stored;
  }

  do(command: Command): void {
    switch (command.do) {
      case "store":
        this.#store(command);
        break;
      case "read":
        this.read(command.limit);
        break;
      case "stick":
        for (const one of command.names) {
          this.hold(one, 1);
        }
        this.backlog.relieve();
        break;
      case "free":
        this.hold(command.name, 0);
        this.backlog.rewind();
        break;
      case "send":
        this.send(command.name, command.count);
        break;
    }
  }

  /** Reads on; false at the end of the store. */
  read(limit: number): boolean {
    const { position } = this.backlog;
    const found = this.#stored.filter(({ cursor }) => cursor > position).slice(0, limit);
    const last = found.at(-1);
    if (last !== undefined) {
      this.backlog.take(found, last.cursor);
    }
    return last !== undefined;
  }

  hold(device: string, held: number): void {
    const found = this.#device(device);
    found.held = held;
    this.backlog.place(found);
  }

  send(device: string, count: number): void {
    const found = this.#device(device);
    for (let left = found.held > 0 ? 0 : count; left > 0; left -= 1) {
      for (const lane of LANES) {
        const item = this.backlog.shift(found, lane);
        if (item !== undefined) {
          this.backlog.forget(item);
          this.sent.push(`${device} ${lane} ${item.cursor}`);
        }
      }
    }
    this.backlog.place(found);
  }

  #device(device: string): Device {
    const found = this.backlog.device(device, "");
    found.announcement = "announced";
    return found;
  }

  #store({ name: device, kind, count }: Command & { readonly do: "store" }): void {
    for (let left = count; left > 0; left -= 1) {
      const cursor = at(this.#stored.length + 1);
      this.#stored.push({ cursor, device, deviceType: "", kind, json: "{}", values: 1 });
    }
  }
}

const byPlace = (sent: readonly string[]): Partial<Record<string, readonly string[]>> =>
  Object.groupBy(sent, (text) => text.slice(0, text.lastIndexOf(" ")));

test("each record is taken once and in order, whichever devices make way and come back meanwhile", () => {
  fc.assert(
    fc.property(fc.array(commands, { size: "max", maxLength: 50 }), (list) => {
      const rig = new Rig();
      for (const command of list) {
        rig.do(command);
      }
      for (const one of NAMES) {
        rig.hold(one, 0);
      }
      rig.backlog.rewind();
      while (rig.read(5)) {
        // To the end of the store.
      }
      for (const one of NAMES) {
        rig.send(one, rig.stored.length);
      }
      const expected = rig.stored.map(
        ({ device, kind, cursor }) => `${device} ${laneOf(kind)} ${cursor}`,
      );
      expect(byPlace(rig.sent)).toEqual(byPlace(expected));
      expect([rig.backlog.records, rig.backlog.bytes]).toEqual([0, 0]);
    }),
    { numRuns: 2000 },
  );
});
