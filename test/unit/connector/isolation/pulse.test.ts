import { describe, expect, test } from "bun:test";
import { Pulse, PulseMonitor, pulseMemory } from "../../../../src/connector/isolation/pulse.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

const MB = 1_000_000;

function setUp() {
  const clock = new FakeClock();
  const memory = pulseMemory();
  const process = { heapBytes: 10 * MB, residentBytes: 60 * MB };
  const problems: string[] = [];
  const pulse = new Pulse(memory, clock, () => process.heapBytes);
  const monitor = new PulseMonitor(memory, {
    clock,
    limits: { silentMs: 60_000, memoryBytes: 256 * MB },
    residentBytes: () => process.residentBytes,
    onLook: () => undefined,
    onProblem: (problem) => problems.push(problem),
  });
  return { clock, pulse, monitor, process, problems };
}

describe("PulseMonitor", () => {
  test("has nothing to say about a thread that lives", async () => {
    const { clock, problems, monitor } = setUp();
    await clock.advance(600_000);
    expect(problems).toEqual([]);
    monitor[Symbol.dispose]();
  });

  test("tells of a thread that is silent for a minute, once, with the converter at work", async () => {
    const { clock, pulse, problems } = setUp();
    pulse.at("TankLevel");
    pulse[Symbol.dispose](); // As a loop that never ends.
    await clock.advance(59_000);
    expect(problems).toEqual([]);
    await clock.advance(120_000);
    expect(problems).toEqual([
      'it has shown no sign of life for 60 s, last in converter "TankLevel"',
    ]);
    expect(clock.waiting).toBe(0);
  });

  test("tells of a heap that is too large", async () => {
    const { clock, process, problems } = setUp();
    process.heapBytes = 300 * MB;
    await clock.advance(2000);
    expect(problems).toEqual(["it uses 300 MB of memory, more than 256 MB"]);
  });

  test("tells within a second or two of a loop that fills the memory of the process", async () => {
    const { clock, pulse, process, problems } = setUp();
    await clock.advance(5000);
    pulse[Symbol.dispose]();
    process.residentBytes += 300 * MB;
    await clock.advance(1500);
    expect(problems).toEqual(["it does not come back and has taken more than 256 MB of memory"]);
  });

  test("a process that grows while the thread lives is nobody's fault", async () => {
    const { clock, process, problems, monitor } = setUp();
    for (let step = 0; step < 20; step += 1) {
      process.residentBytes += 100 * MB;
      await clock.advance(1000);
    }
    expect(problems).toEqual([]);
    monitor[Symbol.dispose]();
  });

  test("of two that are silent the one is ended that fell silent last", async () => {
    const looping = setUp();
    looping.pulse[Symbol.dispose]();
    await looping.clock.advance(20_000);
    const filling = setUp();
    await filling.clock.advance(2000);
    filling.pulse[Symbol.dispose]();
    for (const { process } of [looping, filling]) {
      process.residentBytes += 300 * MB;
    }
    for (let step = 0; step < 20; step += 1) {
      await looping.clock.advance(100);
      await filling.clock.advance(100);
    }
    expect(filling.problems.length).toBe(1);
    expect(looping.problems).toEqual([]);
    await looping.clock.advance(60_000);
    expect(looping.problems.length).toBe(1);
  });
});
