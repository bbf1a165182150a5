import { beforeEach, expect, test } from "bun:test";
import { Device, type Item } from "../../../src/thingsboard/device.ts";
import { newPiece, type Piece } from "../../../src/thingsboard/piece.ts";
import { Retries, type SendingNow } from "../../../src/thingsboard/retries.ts";

let a: Device;
let b: Device;
let retries: Retries;
const idle: SendingNow = { nowMs: 1000, inFlight: 0, settling: 0 };

beforeEach(() => {
  a = new Device("A", "");
  b = new Device("B", "");
  a.announcement = "announced";
  b.announcement = "announced";
  retries = new Retries(() => undefined);
});

function piece(order: number, ...devices: readonly Device[]): Piece {
  const item = (): Item => ({
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- any integer is a cursor
    cursor: 1n as Item["cursor"],
    lane: "telemetry",
    json: "{}",
    bytes: 2,
    values: 1,
    points: 1,
    whole: undefined,
    done: false,
  });
  const groups = devices.map((device) => ({ device, name: `"${device.name}"`, items: [item()] }));
  return { ...newPiece("telemetry", groups), order };
}

test("pieces go in the order of their first publish, and hold their devices meanwhile", () => {
  const [first, second] = [piece(1, a), piece(2, a, b)];
  retries.add([second]);
  retries.add([first]);
  expect([a.held, b.held]).toEqual([2, 1]);
  expect(retries.next(idle)).toEqual({ piece: first });
  expect([a.held, b.held]).toEqual([1, 1]);
  a.inFlight = 1;
  expect(retries.next(idle)).toBeUndefined();
  a.inFlight = 0;
  expect(retries.next(idle)).toEqual({ piece: second });
  expect([a.held, b.held, retries.size]).toEqual([0, 0, 0]);
});

test("parts of one piece stay in their order also when one comes back", () => {
  const [left, right] = [piece(1, a), piece(1, a)];
  retries.add([left, right]);
  expect(retries.next(idle)).toEqual({ piece: left });
  retries.add([left]);
  expect(retries.next(idle)).toEqual({ piece: left });
  expect(retries.next(idle)).toEqual({ piece: right });
});

test("a piece that must wait lets those of other devices pass, not those of its own", () => {
  const [late, same, other] = [piece(1, a), piece(2, a), piece(3, b)];
  late.notBeforeMs = 5000;
  retries.add([late, same, other]);
  expect(retries.next(idle)).toEqual({ piece: other });
  expect(retries.next(idle)).toEqual({ wakeAtMs: 5000 });
  expect(retries.next({ ...idle, nowMs: 5000 })).toEqual({ piece: late });
});

test("a suspect waits for silence, a wary one also for what is settling", () => {
  const suspect = { ...piece(1, a), suspect: true };
  retries.add([suspect]);
  expect(retries.next({ ...idle, inFlight: 1 })).toEqual({ quiet: true });
  suspect.wary = true;
  expect(retries.next({ ...idle, settling: 1 })).toEqual({ quiet: true });
  expect(retries.next(idle)).toEqual({ piece: suspect });
});

test("a piece set aside holds nobody, and one that a late PUBACK covered is dropped", () => {
  const aside = piece(1, a);
  const covered = piece(2, a, b);
  retries.add([aside, covered]);
  retries.setAside(aside);
  expect(a.held).toBe(1);
  for (const group of covered.groups) {
    for (const item of group.items) {
      item.done = true;
    }
  }
  aside.notBeforeMs = 9000;
  expect(retries.next(idle)).toEqual({ wakeAtMs: 9000 });
  expect([a.held, b.held, retries.size]).toEqual([0, 0, 1]);
});

test("a device that is not announced gets nothing", () => {
  a.announcement = "refused";
  retries.add([piece(1, a)]);
  expect(retries.next(idle)).toBeUndefined();
});
