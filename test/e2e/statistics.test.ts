// The gateway's own data, as it arrives from the compiled program.
import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeLine, type WatchedLine } from "../support/watched-line.ts";

const TIMEOUT_MS = 60_000;

describe("statistics of the compiled gateway", () => {
  const commands = [
    { attributeOnGateway: "Answer", command: "echo $((6 * 7))", timeout: 10 },
    { attributeOnGateway: "Kernel", command: ["uname", "-s"], timeout: 10 },
  ];

  async function statisticsLine(tbgwSettings: object): Promise<WatchedLine> {
    const line = await makeLine({
      thingsboard: {
        statistics: { enable: true, statsSendPeriodInSeconds: 10, configuration: "stats.json" },
      },
      tbgw: { web: { enabled: false }, ...tbgwSettings },
    });
    await writeFile(join(line.gateway.dir, "config/stats.json"), JSON.stringify(commands));
    line.gateway.start();
    return line;
  }

  test(
    "arrive with their commands where the machine allows it",
    async () => {
      await using line = await statisticsLine({ allowStatisticsCommands: true });
      const { platform } = line;
      await platform.until(
        () =>
          platform.latest("gateway", "machineStats") !== undefined &&
          platform.latest("gateway", "Kernel") !== undefined,
        20_000,
      );
      expect(platform.latest("gateway", "Answer")?.text).toBe("42.0");
      expect(Object.keys(platform.getClient("gateway"))).toContain("totalDisk");
      const stats = JSON.parse(platform.latest("gateway", "machineStats")?.text ?? "");
      expect(stats.gwProcessMemoryFullInfo.rss).toBeGreaterThan(20_000_000);
    },
    TIMEOUT_MS,
  );

  test(
    "leave the commands out where it does not, and name them in one warning",
    async () => {
      await using line = await statisticsLine({});
      const { platform, gateway } = line;
      await platform.until(() => platform.latest("gateway", "machineStats") !== undefined, 20_000);
      await gateway.stop();
      const warnings = gateway.output
        .split("\n")
        .filter((text) => text.includes("allowStatisticsCommands"));
      expect(warnings.length).toBe(1);
      expect(warnings[0]).toMatch(/WARN.*Answer.*Kernel/);
      expect(platform.keys("gateway")).not.toContain("Answer");
    },
    TIMEOUT_MS,
  );
});
