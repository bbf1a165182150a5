import { compilePythonRegex, type PythonRegex } from "#sdk/python-regex";

/** Reason of a held back value in the ledger. */
export const FILTERED = "device-filter";

/** Verdicts remembered of one connector; beyond that they are found out anew. */
const MAX_VERDICTS = 10_000;

/** Names by connector: regular expressions in Python's syntax. */
export type NamePatterns = Readonly<Record<string, readonly string[]>>;

/** What the device filter file says; its patterns have been checked. */
export interface FilterRules {
  /** Looked at first: a device whose whole name matches is left out. */
  readonly deny: NamePatterns;
  /** A connector with a list here passes only devices whose whole name matches. */
  readonly allow: NamePatterns;
}

/** The lists of one connector and what they said so far. */
interface Lists {
  readonly deny: readonly PythonRegex[];
  readonly allow: readonly PythonRegex[] | undefined;
  readonly verdicts: Map<string, boolean>;
}

/** Decides by connector and device name whether a device is let in. Without rules every device is. */
export class DeviceFilter {
  readonly #lists = new Map<string, Lists>();

  constructor(rules?: FilterRules) {
    this.set(rules);
  }

  /** Replaces the rules; `undefined` lets everything in. @throws DataError for a pattern that has no counterpart. */
  set(rules: FilterRules | undefined): void {
    const { deny = {}, allow = {} } = rules ?? {};
    const lists = new Map<string, Lists>();
    for (const connector of new Set([...Object.keys(deny), ...Object.keys(allow)])) {
      lists.set(connector, {
        deny: patternsOf(deny, connector) ?? [],
        allow: patternsOf(allow, connector),
        verdicts: new Map(),
      });
    }
    this.#lists.clear();
    for (const [connector, each] of lists) {
      this.#lists.set(connector, each);
    }
  }

  /** Whether a device of the connector of this name is let in. */
  admits(connectorName: string, deviceName: string): boolean {
    const lists = this.#lists.get(connectorName);
    if (lists === undefined) {
      return true;
    }
    const known = lists.verdicts.get(deviceName);
    if (known !== undefined) {
      return known;
    }
    const verdict = judge(lists, deviceName);
    if (lists.verdicts.size >= MAX_VERDICTS) {
      lists.verdicts.clear();
    }
    lists.verdicts.set(deviceName, verdict);
    return verdict;
  }
}

function patternsOf(patterns: NamePatterns, connector: string): readonly PythonRegex[] | undefined {
  return Object.hasOwn(patterns, connector)
    ? patterns[connector]?.map((source) => compilePythonRegex(source))
    : undefined;
}

function judge({ deny, allow }: Lists, deviceName: string): boolean {
  const matches = (regex: PythonRegex): boolean => regex.fullMatch(deviceName) !== undefined;
  return !deny.some(matches) && (allow === undefined || allow.some(matches));
}
