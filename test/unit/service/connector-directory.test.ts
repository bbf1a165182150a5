import { describe, expect, test } from "bun:test";
import type { Connector } from "../../../src/sdk/connector.ts";
import { ConnectorDirectory } from "../../../src/service/connector-directory.ts";

function connector(): Connector {
  return { run: () => Promise.resolve(), [Symbol.asyncDispose]: () => Promise.resolve() };
}

describe("ConnectorDirectory", () => {
  test("finds running connectors by id, name and type", () => {
    const directory = new ConnectorDirectory();
    const one = { id: "1", name: "Line 1", type: "modbus", connector: connector() };
    const two = { id: "2", name: "Line 2", type: "modbus", connector: connector() };
    directory.add(one);
    directory.add(two);
    expect(directory.byId("2")).toBe(two);
    expect(directory.byName("Line 1")).toBe(one);
    expect(directory.ofType("MODBUS")).toEqual([one, two]);
    expect(directory.ofType("opcua")).toEqual([]);
  });

  test("an instance that ended late does not take its successor out", () => {
    const directory = new ConnectorDirectory();
    const old = { id: "1", name: "Line 1", type: "modbus", connector: connector() };
    const next = { ...old, connector: connector() };
    const ended = directory.add(old);
    const seen: unknown[] = [];
    directory.onRunning((running) => seen.push(running));
    directory.add(next);
    ended[Symbol.dispose]();
    expect(directory.byId("1")).toBe(next);
    expect(seen).toEqual([next]);
  });
});
