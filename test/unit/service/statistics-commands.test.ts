import { describe, expect, test } from "bun:test";
import type { StatisticsCommand } from "../../../src/config/statistics.ts";
import { systemClock } from "../../../src/sdk/clock.ts";
import { Float, type Json } from "../../../src/sdk/model.ts";
import { outputValue, StatisticsCommands } from "../../../src/service/statistics-commands.ts";
import { memoryLog } from "../../support/memory-log.ts";

const signal = new AbortController().signal;

function command(
  attributeOnGateway: string,
  line: string | string[],
  timeout = 10,
): StatisticsCommand {
  return { attributeOnGateway, command: line, timeout };
}

async function outputs(commands: StatisticsCommands): Promise<Record<string, Json>> {
  const found: Record<string, Json> = {};
  await commands.run((attribute, value) => {
    found[attribute] = value;
  }, signal);
  return found;
}

describe("outputValue()", () => {
  test("a number is a number, all else is text without the space around it, and nothing is nothing", () => {
    expect(outputValue("12.5\n")).toEqual(new Float(12.5));
    expect(outputValue(" 10:15 up 3 days\n\n")).toBe("10:15 up 3 days");
    expect(outputValue("nan\n")).toBe("nan");
    expect(outputValue(" \n")).toBeUndefined();
  });
});

describe("StatisticsCommands", () => {
  test("runs a text in a shell and a list as it is", async () => {
    const { log, records } = memoryLog();
    const commands = new StatisticsCommands(
      [
        command("shell", "echo $((1 + 1)) | cat"),
        command("list", ["echo", "$((1 + 1))"]),
        command("zero", "echo 0; exit 1"),
      ],
      { clock: systemClock, log },
    );
    expect(await outputs(commands)).toEqual({
      shell: new Float(2),
      list: "$((1 + 1))",
      zero: new Float(0),
    });
    expect(records).toEqual([]);
  });

  test("one that fails, hangs or says too much costs itself alone, and is logged once", async () => {
    const { log, records } = memoryLog();
    const commands = new StatisticsCommands(
      [
        command("missing", ["no-such-program-tbgw"]),
        command("broken", "echo why >&2; exit 7"),
        command("slow", "sleep 3600", 0.05),
        command("endless", "yes"),
        command("fine", "echo fine"),
      ],
      { clock: systemClock, log },
    );
    expect(await outputs(commands)).toEqual({ fine: "fine" });
    const failures = new Map(records.map(({ fields }) => [fields["attribute"], fields["error"]]));
    expect(new Set(failures.keys())).toEqual(new Set(["broken", "endless", "missing", "slow"]));
    expect(failures.get("broken")).toBe("exit code 7: why");
    expect(failures.get("slow")).toBe("it takes longer than 0.05 s");
    await outputs(commands);
    expect(records.length).toBe(4);
  });

  test("a slow one holds up no other", async () => {
    const { log } = memoryLog();
    const stop = new AbortController();
    const slow = Array.from({ length: 3 }, (_none, index) =>
      command(`slow ${index}`, "sleep 3600"),
    );
    const fast = Array.from({ length: 20 }, (_none, index) => command(`fast ${index}`, "echo 1"));
    const commands = new StatisticsCommands([...slow, ...fast], { clock: systemClock, log });
    const found: string[] = [];
    const running = commands.run((attribute) => {
      found.push(attribute);
      if (found.length === fast.length) {
        stop.abort(new Error("all fast ones are there"));
      }
    }, stop.signal);
    await expect(running).rejects.toThrow("all fast ones are there");
    expect(found.length).toBe(20);
  });

  test("an installation runs once, before; its failure is no obstacle", async () => {
    const { log, messages } = memoryLog();
    const installed = { ...command("a", "echo 1"), installCmd: "exit 1" };
    const commands = new StatisticsCommands([installed], { clock: systemClock, log });
    await commands.install(signal);
    expect(messages("warn").length).toBe(1);
    expect(await outputs(commands)).toEqual({ a: new Float(1) });
  });
});
