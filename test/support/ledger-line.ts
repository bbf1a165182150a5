import { EMPTY_LEDGER, type Ledger, type ReasonCounts } from "../../src/sdk/ledger.ts";

const COUNTS = ["received", "stored", "acknowledged", "queued", "quarantined"] as const;
const REASONS = ["filtered", "rejected", "dropped"] as const;

/** The ledger as the gateway's last log line before it stopped says it. @throws Error when no line says one. */
export function ledgerOf(output: string): Ledger {
  const line = output.split("\n").findLast((text) => text.includes("service: Ledger"));
  if (line === undefined) {
    throw new Error("The gateway has not logged its ledger");
  }
  const fields = new Map<string, unknown>();
  for (const [, key, value] of line.matchAll(/ (\w+)=(\{[^}]*\}|\d+)/g)) {
    fields.set(key ?? "", JSON.parse(value ?? "null"));
  }
  const counts: Partial<Record<(typeof COUNTS)[number], number>> = {};
  for (const name of COUNTS) {
    const value = fields.get(name);
    if (typeof value !== "number") {
      throw new Error(`The ledger has no count "${name}": ${line}`);
    }
    counts[name] = value;
  }
  const reasons: Partial<Record<(typeof REASONS)[number], ReasonCounts>> = {};
  for (const name of REASONS) {
    reasons[name] = reasonCounts(fields.get(name));
  }
  return { ...EMPTY_LEDGER, ...counts, ...reasons };
}

function reasonCounts(value: unknown): ReasonCounts {
  const counts: Record<string, number> = {};
  if (typeof value === "object" && value !== null) {
    for (const [reason, count] of Object.entries(value)) {
      counts[reason] = Number(count);
    }
  }
  return counts;
}
