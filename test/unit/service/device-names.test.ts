import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DeviceNames } from "../../../src/service/device-names.ts";

const nobody = (): boolean => false;
const known =
  (...names: readonly string[]) =>
  (name: string): boolean =>
    names.includes(name);

describe("DeviceNames", () => {
  test("a name on the platform and the local one lead to each other; other names stay", () => {
    const names = new DeviceNames(true);
    expect(names.rename("A", "B", known("A"))).toBe("A");
    expect([names.platformName("A"), names.localName("B")]).toEqual(["B", "A"]);
    expect([names.platformName("C"), names.localName("C")]).toEqual(["C", "C"]);
    expect(names.renaming("A")).toBe("B");
  });

  test("a chain of names leads from the first to the last, and back to the local one ends it", () => {
    const names = new DeviceNames(true);
    names.rename("A", "B", known("A"));
    expect(names.rename("B", "C", known("A"))).toBe("A");
    expect([names.platformName("A"), names.localName("C")]).toEqual(["C", "A"]);
    expect(names.localName("B")).toBe("B");
    expect(names.rename("C", "A", known("A"))).toBe("A");
    expect(names.renaming("A")).toBeUndefined();
    expect([names.platformName("A"), names.localName("C")]).toEqual(["A", "C"]);
  });

  test("events that come again change nothing", () => {
    const names = new DeviceNames(true);
    names.rename("A", "B", known("A"));
    names.rename("B", "C", known("A"));
    for (const [from, to] of [
      ["A", "B"],
      ["B", "C"],
    ] as const) {
      expect(names.rename(from, to, known("A"))).toBeUndefined();
    }
    expect(names.platformName("A")).toBe("C");
  });

  test("a device that nobody knows yet gets its name before its data comes", () => {
    const names = new DeviceNames(true);
    expect(names.rename("New", "Other", nobody)).toBe("New");
    expect(names.localName("Other")).toBe("New");
  });

  test("a name that another device has is not taken away from it", () => {
    const names = new DeviceNames(true);
    names.rename("A", "X", known("A", "B"));
    expect(names.rename("B", "X", known("A", "B"))).toBeUndefined();
    expect(names.rename("C", "B", known("A", "B"))).toBeUndefined();
    expect(names.localName("X")).toBe("A");
  });

  test("a local name that its device has left is free for another one", () => {
    const names = new DeviceNames(true);
    names.rename("A", "C", known("A", "B"));
    expect(names.rename("B", "A", known("A", "B"))).toBe("B");
    expect([names.localName("A"), names.platformName("A")]).toEqual(["B", "C"]);
  });

  test("the local name of a renamed device is not its name on the platform", () => {
    const names = new DeviceNames(true);
    names.rename("A", "B", known("A"));
    expect([names.holder("B"), names.holder("A"), names.holder("Z")]).toEqual([
      "A",
      undefined,
      "Z",
    ]);
  });

  test("names that are not followed are kept and not used", () => {
    const names = new DeviceNames(false, [{ deviceName: "A", renaming: "B" }]);
    expect([names.platformName("A"), names.localName("B")]).toEqual(["A", "B"]);
    expect(names.rename("A", "C", known("A"))).toBeUndefined();
    expect(names.renaming("A")).toBe("B");
  });

  test("two devices of a file cannot have one name on the platform", () => {
    const names = new DeviceNames(true, [
      { deviceName: "A", renaming: "X" },
      { deviceName: "B", renaming: "X" },
    ]);
    expect([names.localName("X"), names.platformName("B")]).toEqual(["A", "B"]);
  });

  const locals = ["a", "b", "c"];
  const pool = [...locals, "x", "y", "z"];
  const anyEvent = fc.record({ from: fc.constantFrom(...pool), to: fc.constantFrom(...pool) });
  const anyEvents = fc.array(anyEvent, { maxLength: 12 });

  /** The events a platform would send, and which device has which name in the end. */
  function play(
    events: readonly { readonly from: string; readonly to: string }[],
    mayHave: (owner: string | undefined, local: string) => boolean,
  ) {
    const truth = new Map(locals.map((name) => [name, name]));
    const owners = new Map(truth);
    const sent: (readonly [string, string])[] = [];
    for (const { from, to } of events) {
      const local = truth.get(from);
      // A device that exists gets a name that is free.
      if (local !== undefined && !truth.has(to) && mayHave(owners.get(to), local)) {
        truth.set(to, local);
        truth.delete(from);
        owners.set(to, local);
        sent.push([from, to]);
      }
    }
    return { truth, sent };
  }

  function expectTruth(names: DeviceNames, truth: ReadonlyMap<string, string>): void {
    for (const [name, local] of truth) {
      expect([names.platformName(local), names.localName(name)]).toEqual([name, local]);
    }
  }

  test("follows the platform through any events", () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const { truth, sent } = play(events, () => true);
        const names = new DeviceNames(true);
        for (const [from, to] of sent) {
          names.rename(from, to, known(...locals));
        }
        expectTruth(names, truth);
      }),
    );
  });

  test("the last events may come again, where no name goes from one device to another", () => {
    fc.assert(
      fc.property(anyEvents, fc.nat(12), (events, repeated) => {
        const { truth, sent } = play(
          events,
          (owner, local) => owner === undefined || owner === local,
        );
        const names = new DeviceNames(true);
        for (const [from, to] of [...sent, ...sent.slice(Math.max(0, sent.length - repeated))]) {
          names.rename(from, to, known(...locals));
        }
        expectTruth(names, truth);
      }),
    );
  });
});
