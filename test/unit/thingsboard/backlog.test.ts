import { beforeEach, describe, expect, test } from "bun:test";
import type { Cursor, StoredRecord } from "../../../src/storage/event-store.ts";
import { Backlog } from "../../../src/thingsboard/backlog.ts";
import type { Device } from "../../../src/thingsboard/device.ts";
import { Packer } from "../../../src/thingsboard/packer.ts";
import { payloadOf } from "../../../src/thingsboard/piece.ts";
import { Meter } from "../../../src/thingsboard/rate-limit.ts";
import { FakeClock } from "../../support/fake-clock.ts";

let backlog: Backlog;

beforeEach(() => {
  backlog = new Backlog();
});

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- any integer is a cursor
const at = (cursor: number): Cursor => BigInt(cursor) as Cursor;

function record(cursor: number, device: string, extra: Partial<StoredRecord> = {}): StoredRecord {
  return {
    cursor: at(cursor),
    device,
    deviceType: "",
    kind: "telemetry",
    json: `{"ts":${cursor},"values":{}}`,
    values: 1,
    ...extra,
  };
}

function announced(name: string): Device {
  const device = backlog.device(name, "");
  device.announcement = "announced";
  backlog.place(device);
  return device;
}

/** Cursors of the queued telemetry of a device, taken out. */
function drain(device: Device): number[] {
  const cursors: number[] = [];
  for (let item = backlog.shift(device, "telemetry"); item !== undefined; ) {
    cursors.push(Number(item.cursor));
    backlog.forget(item);
    item = backlog.shift(device, "telemetry");
  }
  return cursors;
}

describe("Backlog", () => {
  test("names the records that can never be sent", () => {
    const bad = backlog.take(
      [
        record(1, "A", { json: '["no object"]' }),
        record(2, "x".repeat(256)),
        record(3, ""),
        record(4, "A", { kind: "gateway-telemetry" }),
        record(5, "", { kind: "gateway-telemetry" }),
        record(6, "A"),
      ],
      at(6),
    );
    expect(bad.map(({ cursor, reason }) => `${cursor} ${reason}`)).toEqual([
      "1 payload-invalid",
      "2 bad-device-name",
      "3 bad-device-name",
      "4 bad-device-name",
    ]);
    expect(backlog.records).toBe(2);
  });

  test("a device waits until it is announced, is idle, then busy, then idle again", () => {
    backlog.take([record(1, "A"), record(2, "A")], at(2));
    const device = backlog.device("A", "");
    expect([...backlog.waiting]).toEqual([device]);
    announced("A");
    expect([[...backlog.waiting], [...backlog.idle("telemetry")]]).toEqual([[], [device]]);
    device.inFlight = 1;
    backlog.place(device);
    expect([[...backlog.idle("telemetry")], [...backlog.busy("telemetry")]]).toEqual([
      [],
      [device],
    ]);
    device.held = 1;
    backlog.place(device);
    expect([...backlog.busy("telemetry")]).toEqual([]);
  });

  test("has no room when it is nearly full, and counts bytes as UTF-8", () => {
    const json = `{"ts":1,"values":{"x":"${"ü".repeat(500_000)}"}}`;
    backlog.take([record(1, "A", { json }), record(2, "A", { json })], at(2));
    expect(backlog.bytes).toBe(2 * Buffer.byteLength(json));
    expect(backlog.room).toBeUndefined();
    expect(backlog.relieve()).toBe(false);
  });

  test("lets a stuck device go and reads it again from where it was, each record once", () => {
    const [stuck, fine] = [announced("Stuck"), announced("Fine")];
    backlog.take([record(1, "Stuck"), record(2, "Fine"), record(3, "Stuck")], at(3));
    expect(Number(backlog.shift(stuck, "telemetry")?.cursor)).toBe(1); // Refused, and held:
    stuck.held = 1;
    backlog.place(stuck);
    expect(backlog.relieve()).toBe(true);
    backlog.take([record(4, "Stuck"), record(5, "Fine")], at(5));
    expect([stuck.queued, fine.queued, backlog.records]).toEqual([0, 2, 3]);
    expect(backlog.rewind()).toBe(false);

    stuck.held = 0;
    expect(backlog.rewind()).toBe(true);
    expect(backlog.position).toBe(at(2));
    backlog.take([record(3, "Stuck"), record(4, "Stuck")], at(4));
    backlog.take([record(5, "Fine"), record(6, "Stuck"), record(7, "Fine")], at(7));
    expect(drain(stuck)).toEqual([3, 4, 6]);
    expect(drain(fine)).toEqual([2, 5, 7]);
    expect(backlog.rewind()).toBe(false);
  });

  test("reads only the lane again that was let go", () => {
    const device = announced("A");
    const attribute = { kind: "attributes" as const };
    backlog.take([record(1, "A"), record(2, "A", attribute)], at(2));
    backlog.shift(device, "attributes"); // On its way, ahead of the telemetry.
    device.held = 1;
    backlog.relieve();
    device.held = 0;
    backlog.rewind();
    backlog.take([record(1, "A"), record(2, "A", attribute)], at(2));
    expect([device.telemetry.size, device.attributes.size]).toEqual([1, 0]);
  });

  test("of devices that come and go only names are kept, and data left of one is known to be", () => {
    let sent = 0;
    for (let cursor = 1; cursor <= 50_000; cursor += 1) {
      const device = announced(`D${cursor}`);
      backlog.take([record(cursor, device.name)], at(cursor));
      device.gone = true;
      backlog.place(device);
      sent += drain(device).length;
      device.announcement = "none";
      backlog.place(device);
    }
    expect([sent, [...backlog.devices]]).toEqual([50_000, []]);
    backlog.take([record(50_001, "D50000")], at(50_001));
    const [left] = backlog.devices;
    expect([left?.name, left?.gone, left?.known]).toEqual(["D50000", true, false]);
    // Long ago, and one more than is remembered.
    expect(backlog.device("D1", "").gone).toBe(false);
  });
});

describe("Packer", () => {
  const packer = (): Packer =>
    new Packer(backlog, {
      platformName: (local) => local,
      tooLarge: () => undefined,
      meter: () => new Meter(new FakeClock(), 1),
      denied: () => undefined,
    });

  test("joins devices with something in flight only to a full payload", () => {
    const [a, b] = [announced("A"), announced("B")];
    backlog.take([record(1, "A"), record(2, "B")], at(2));
    a.inFlight = 1;
    backlog.place(a);
    const piece = packer().next(1000);
    expect(piece && payloadOf(piece)).toBe('{"B":[{"ts":2,"values":{}}]}');
    expect(packer().next(1000)).toBeUndefined();
    backlog.take(
      Array.from({ length: 50 }, (_none, index) => record(3 + index, "A")),
      at(52),
    );
    expect(b.queued).toBe(0);
    expect(packer().next(200)?.groups[0]?.device).toBe(a);
  });

  test("keeps a payload within the limit, to the byte", () => {
    announced("Ä");
    backlog.take(
      Array.from({ length: 100 }, (_none, index) => record(1000 + index, "Ä")),
      at(1100),
    );
    for (const limit of [64, 65, 100, 256]) {
      const piece = packer().next(limit);
      const bytes = piece === undefined ? 0 : Buffer.byteLength(payloadOf(piece));
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThanOrEqual(limit);
      const device = backlog.device("Ä", "");
      backlog.place(device);
    }
  });

  test("takes turns between attributes and telemetry of a device", () => {
    const device = announced("A");
    for (let cursor = 1; cursor <= 4; cursor += 1) {
      backlog.take(
        [record(cursor * 2, "A"), record(cursor * 2 + 1, "A", { kind: "attributes" })],
        at(cursor * 2 + 1),
      );
    }
    const kinds: string[] = [];
    for (let piece = packer().next(40); piece !== undefined; piece = packer().next(40)) {
      kinds.push(piece.kind);
      backlog.place(device);
    }
    expect(kinds.slice(0, 4)).toEqual(["attributes", "telemetry", "attributes", "telemetry"]);
  });
});
