import { describe, expect, test } from "bun:test";
import { Float } from "../../../src/sdk/model.ts";
import { GivenAttributes } from "../../../src/service/given-attributes.ts";

describe("GivenAttributes", () => {
  const pump = { deviceName: "Pump", connectorId: "1" };

  test("remembers what was taken, value by value, until it is removed or doubtful", () => {
    const given = new GivenAttributes();
    given.took(pump, { a: 1, b: new Float(2), c: [1] }, []);
    expect([given.has("Pump", "a", 1), given.has("Pump", "a", new Float(1))]).toEqual([
      true,
      false,
    ]);
    given.took(pump, { a: 2 }, ["b"]);
    given.unsure("Pump", ["c"]);
    expect(given.keys("Pump")).toEqual(["a"]);
    expect(given.has("Pump", "a", 2)).toBe(true);
    expect(given.keys("Fan")).toEqual([]);
  });

  test("another connector has nothing yet, and neither has a replaced one", () => {
    const given = new GivenAttributes();
    given.took(pump, { a: 1 }, []);
    given.took({ deviceName: "Pump", connectorId: "2" }, { b: 1 }, []);
    expect(given.keys("Pump")).toEqual(["b"]);
    given.forgetConnector("2");
    expect(given.keys("Pump")).toEqual([]);
  });

  test("forgets the longest unchanged device when it holds too much", () => {
    const given = new GivenAttributes();
    const text = "x".repeat(3 * 1024 * 1024);
    for (let index = 0; index < 8; index += 1) {
      given.took({ deviceName: `Pump ${index}`, connectorId: "1" }, { text }, []);
      given.took(pump, { index }, []);
    }
    expect(given.keys("Pump 0")).toEqual([]);
    expect(given.keys("Pump 7")).toEqual(["text"]);
    expect(given.keys("Pump")).toEqual(["index"]);
  });
});
