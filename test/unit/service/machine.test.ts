import { describe, expect, test } from "bun:test";
import { Float, type Json } from "../../../src/sdk/model.ts";
import { humanSize, Machine } from "../../../src/service/machine.ts";

function number(value: Json | undefined): number {
  return value instanceof Float ? value.value : Number(value);
}

describe("Machine", () => {
  test("says of this machine what the kernel says", () => {
    const machine = new Machine(() => performance.now());
    const { totalMemory, totalDisk, cpuCount } = machine.attributes();
    expect(totalMemory).toMatch(/^\d+\.\d[KMGT]$/);
    expect(totalDisk).toMatch(/^\d+\.\d[KMGT]$/);
    expect(number(cpuCount)).toBeGreaterThan(0);
    const stats = machine.stats();
    for (const key of ["diskUsage", "freeMemory", "gwMemory"] as const) {
      expect(stats[key].value).toBeGreaterThan(0);
      expect(stats[key].value).toBeLessThanOrEqual(100);
    }
    expect(stats.freeDisk).toMatch(/^\d+\.\d[BKMGT]$/);
    const info = stats.gwProcessMemoryFullInfo;
    expect(Object.keys(info)).toEqual([
      "rss",
      "vms",
      "shared",
      "text",
      "lib",
      "data",
      "dirty",
      "uss",
      "pss",
      "swap",
    ]);
    expect(number(info["vms"])).toBeGreaterThan(number(info["rss"]));
    expect(number(info["uss"])).toBeGreaterThan(1024 * 1024);
    expect(number(info["pss"])).toBeGreaterThanOrEqual(number(info["uss"]));
  });

  test("the processor time is that since the last look, over all cores", () => {
    let nowMs = 0;
    const machine = new Machine(() => nowMs);
    const before = process.cpuUsage();
    while (process.cpuUsage(before).user + process.cpuUsage(before).system < 60_000) {
      // Busy on purpose: this is what is measured, however long others keep the processor meanwhile.
    }
    nowMs = 60;
    expect(machine.stats().gwProcessCpuUsage.value).toBeGreaterThan(50);
    expect(machine.stats().gwProcessCpuUsage.value).toBe(0);
  });
});

describe("humanSize()", () => {
  test("writes sizes as the Python gateway does", () => {
    const sizes = [0, 1023, 1024, 1536, 8_589_934_592, 62_706_745_344, 5_000_000_000_000_000];
    expect(sizes.map(humanSize)).toEqual([
      "0.0B",
      "1023.0B",
      "1.0K",
      "1.5K",
      "8.0G",
      "58.4G",
      "4547.5T",
    ]);
  });
});
