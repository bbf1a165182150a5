/** The kinds of families that are used. */
export type MetricType = "counter" | "gauge" | "info" | "stateset";

/** A family as OpenMetrics 1.0 describes it; a `unit` must be the end of the name. */
export interface Family {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly unit?: "bytes" | "seconds";
}

type Labels = Readonly<Record<string, string>>;

/** Writes OpenMetrics 1.0 text. Families in the order they are added, each once. */
export class OpenMetrics {
  readonly #lines: string[] = [];

  /** A family with one sample for each `[labels, value]`; without a sample nothing is written. A counter's name has no `_total`. */
  add(family: Family, samples: readonly (readonly [Labels, number])[]): void {
    if (samples.length === 0) {
      return;
    }
    const { name, type, help, unit } = family;
    this.#lines.push(`# TYPE ${name} ${type}`);
    if (unit !== undefined) {
      this.#lines.push(`# UNIT ${name} ${unit}`);
    }
    this.#lines.push(`# HELP ${name} ${escape(help)}`);
    const suffix = SUFFIX[type];
    for (const [labels, value] of samples) {
      this.#lines.push(`${name}${suffix}${labelText(labels)} ${String(value)}`);
    }
  }

  /** The whole text with its end mark. */
  text(): string {
    return `${[...this.#lines, "# EOF"].join("\n")}\n`;
  }
}

const SUFFIX: Readonly<Record<MetricType, string>> = {
  counter: "_total",
  gauge: "",
  info: "_info",
  stateset: "",
};

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
