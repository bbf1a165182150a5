import { nearest } from "#sdk/nearest";

/** A converter that is looked for by its name. */
export interface WantedConverter {
  readonly kind: "uplink" | "downlink";
  /** Of the connector that names it. */
  readonly type: string;
  readonly name: string;
}

/** Why there is no converter of a name; `known` are the names there are, inside the program and in extensions. */
export function absentConverterText(
  { kind, type, name }: WantedConverter,
  known: readonly string[],
): string {
  const names = [...new Set(known)].map((one) => `"${one}"`);
  const there =
    names.length === 0
      ? "there are none"
      : names.length === 1
        ? `the only one is ${names[0]}`
        : `there are ${names.join(", ")}`;
  const near = nearest(name, known);
  const hint =
    near === undefined
      ? `an extension in a folder "${type}" or "shared" can define it`
      : `did you mean "${near}"?`;
  return `there is no ${kind} converter named "${name}" for connectors of type ${type}; ${there}; ${hint}`;
}
