import { describe, expect, test } from "bun:test";
import { ConnectorCounters } from "../../../src/service/metrics.ts";

describe("ConnectorCounters", () => {
  test("counts each name of each connector on its own", () => {
    const counters = new ConnectorCounters();
    counters.count("a", "connectorMsgsReceived", 2);
    counters.count("a", "connectorMsgsReceived", 3);
    counters.count("b", "connectorMsgsReceived", 1);
    expect({ ...counters.of("a") }).toEqual({ connectorMsgsReceived: 5 });
    expect({ ...counters.of("b") }).toEqual({ connectorMsgsReceived: 1 });
    expect({ ...counters.of("nobody") }).toEqual({});
  });

  test("a name that objects have by birth is a counter like any other", () => {
    const counters = new ConnectorCounters();
    counters.count("a", "constructor", 2);
    counters.count("a", "__proto__", 3);
    expect(Object.entries(counters.of("a"))).toEqual([
      ["constructor", 2],
      ["__proto__", 3],
    ]);
  });

  test("names made from data are bounded, and nothing of what they count is lost", () => {
    const counters = new ConnectorCounters();
    for (let index = 0; index < 1000; index += 1) {
      counters.count("a", `name-${index}`, 1);
    }
    counters.count("a", "name-0", 1);
    const found = counters.of("a");
    expect(Object.keys(found).length).toBe(201);
    expect(found["name-0"]).toBe(2);
    expect(found["other"]).toBe(800);
  });
});
