import type { ParseIssue } from "#sdk/config";
import type { GatewayConfig } from "./gateway.ts";
import type { Path } from "./issue.ts";
import { strategyIssues } from "./report-strategy.ts";

/** Values that are valid but do less, or more, than they seem to. Paths start at the root of the main file. */
export function adviseOnGateway(config: GatewayConfig): readonly ParseIssue[] {
  const { thingsboard, storage, tbgw } = config;
  const issues: ParseIssue[] = [];
  const warn = (path: Path, message: string): void => {
    issues.push({ severity: "warning", path, message });
  };
  if (thingsboard.qos === 0) {
    warn(["thingsboard", "qos"], "0 counts as 1: without acknowledgements data would be lost");
  }
  if (thingsboard.remoteShell && !tbgw.allowRemoteShell) {
    const message = "the remote shell stays closed: it needs tbgw.allowRemoteShell too";
    warn(["thingsboard", "remoteShell"], message);
  }
  if (thingsboard.statistics.statsSendPeriodInSeconds < MIN_STATISTICS_SECONDS) {
    const path = ["thingsboard", "statistics", "statsSendPeriodInSeconds"];
    warn(path, `less than ${MIN_STATISTICS_SECONDS} s counts as ${MIN_STATISTICS_SECONDS} s`);
  }
  if (storage.type === "memory") {
    const message =
      'data that waits in memory is lost at a restart and a power cut; "sqlite" keeps it on disk';
    warn(["storage", "type"], message);
  }
  if (isEnabled(config.grpc)) {
    warn(["grpc", "enabled"], "the gRPC server of the Python gateway is not part of this one");
  }
  issues.push(...strategyIssues(thingsboard.reportStrategy, ["thingsboard", "reportStrategy"]));
  return issues;
}

/** The shortest period of the statistics report. */
export const MIN_STATISTICS_SECONDS = 10;

function isEnabled(section: unknown): boolean {
  return (
    typeof section === "object" &&
    section !== null &&
    "enabled" in section &&
    section.enabled === true
  );
}
