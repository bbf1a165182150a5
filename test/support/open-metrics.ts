import { pythonWithPeers } from "./python.ts";

/** One sample as the reference parser reads it. */
export interface Sample {
  readonly family: string;
  readonly type: string;
  readonly unit: string;
  readonly help: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SCRIPT = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
samples = []
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        samples.append({
            "family": family.name, "type": family.type, "unit": family.unit, "help": family.documentation,
            "name": sample.name, "labels": sample.labels, "value": sample.value,
        })
print(json.dumps(samples))
`;

/** Reads OpenMetrics text with the parser of prometheus_client. @throws Error with what it has to complain about */
export async function parseOpenMetrics(text: string): Promise<readonly Sample[]> {
  const child = Bun.spawn([await pythonWithPeers(), "-c", SCRIPT], {
    stdin: Buffer.from(text),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) {
    throw new Error(`prometheus_client refuses the text: ${err}`);
  }
  return JSON.parse(out);
}

/** The sum of a family over all its samples. */
export function sumOf(samples: readonly Sample[], family: string): number {
  return samples
    .filter((sample) => sample.family === family)
    .reduce((sum, { value }) => sum + value, 0);
}

/** A family as counts by its label `reason`. */
export function byReason(
  samples: readonly Sample[],
  family: string,
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    samples
      .filter((sample) => sample.family === family)
      .map(({ labels, value }) => [labels["reason"] ?? "", value]),
  );
}
