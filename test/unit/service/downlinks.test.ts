import { describe, expect, test } from "bun:test";
import { Downlinks } from "../../../src/service/downlinks.ts";
import { memoryLog } from "../../support/memory-log.ts";

describe("Downlinks", () => {
  test("hands a message to those who asked for its topic, by name or by pattern", () => {
    const downlinks = new Downlinks(memoryLog().log);
    const got: string[] = [];
    downlinks.on("v1/gateway/rpc", (payload) => got.push(`rpc ${payload}`));
    downlinks.on(/^v1\/devices\/me\/rpc\/request\/(\d+)$/, (payload, match) =>
      got.push(`own ${match?.[1]} ${payload}`),
    );
    downlinks.receive("v1/gateway/rpc", "a");
    downlinks.receive("v1/devices/me/rpc/request/7", "b");
    downlinks.receive("v1/devices/me/attributes", "c");
    expect(got).toEqual(["rpc a", "own 7 b"]);
  });

  test("ends with the disposing of what `on` returned", () => {
    const downlinks = new Downlinks(memoryLog().log);
    const got: string[] = [];
    const both = [
      downlinks.on("t", () => got.push("name")),
      downlinks.on(/t/, () => got.push("p")),
    ];
    for (const each of both) {
      each[Symbol.dispose]();
    }
    downlinks.receive("t", "");
    expect(got).toEqual([]);
  });

  test("a handler that throws costs the others nothing", () => {
    const log = memoryLog();
    const downlinks = new Downlinks(log.log);
    const got: string[] = [];
    downlinks.on("t", () => {
      throw new Error("broken");
    });
    downlinks.on("t", (payload) => got.push(payload));
    downlinks.receive("t", "x");
    expect(got).toEqual(["x"]);
    expect(log.messages("error")).toEqual(["Cannot handle a message of the platform"]);
  });
});
