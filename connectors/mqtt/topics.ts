/** Longest topic name or filter in UTF-8 bytes (MQTT 5 §4.7.3). */
const MAX_TOPIC_BYTES = 65_535;

/** A topic filter without the prefix of a shared subscription. */
export interface FilterParts {
  /** What topics are compared with. */
  readonly filter: string;
  /** Group of a shared subscription; `undefined` for an ordinary one. */
  readonly group: string | undefined;
}

/**
 * Splits the prefix `$share/<group>/` or `$queue/` of a shared subscription off a filter. The broker delivers such messages
 * under their plain topic, so only the rest takes part in matching (MQTT 5 §4.8.2).
 */
export function splitShare(filter: string): FilterParts {
  if (filter.startsWith("$queue/")) {
    return { filter: filter.slice("$queue/".length), group: "$queue" };
  }
  if (!filter.startsWith("$share/")) {
    return { filter, group: undefined };
  }
  const rest = filter.slice("$share/".length);
  const end = rest.indexOf("/");
  return end === -1
    ? { filter: "", group: rest }
    : { filter: rest.slice(end + 1), group: rest.slice(0, end) };
}

/** What is wrong with a topic filter (MQTT 5 §4.7 and §4.8.2), or `undefined` when it is valid. */
export function filterProblem(filter: string): string | undefined {
  if (Buffer.byteLength(filter) > MAX_TOPIC_BYTES) {
    return `a topic filter has at most ${MAX_TOPIC_BYTES} bytes`;
  }
  if (filter.includes("\u0000")) {
    return "a topic filter must not contain the character NUL";
  }
  const parts = splitShare(filter);
  if (parts.group !== undefined && (parts.group === "" || /[+#]/.test(parts.group))) {
    return `"${filter}" needs a group name without wildcards: $share/<group>/<filter>`;
  }
  if (parts.filter === "") {
    return parts.group === undefined
      ? "a topic filter must not be empty"
      : `"${filter}" needs a filter after the group: $share/<group>/<filter>`;
  }
  return levelProblem(parts.filter);
}

/** What is wrong with a topic a message is to be published under (MQTT 5 §4.7.3), or `undefined` when it is valid. */
export function topicProblem(topic: string): string | undefined {
  if (topic === "") {
    return "a topic must not be empty";
  }
  if (/[+#]/.test(topic) || topic.includes("\u0000")) {
    return `the topic ${JSON.stringify(topic)} must not contain "+", "#" or the character NUL`;
  }
  return Buffer.byteLength(topic) > MAX_TOPIC_BYTES
    ? `a topic has at most ${MAX_TOPIC_BYTES} bytes`
    : undefined;
}

function levelProblem(filter: string): string | undefined {
  const levels = filter.split("/");
  for (const [index, level] of levels.entries()) {
    if (level.includes("#") && (level !== "#" || index !== levels.length - 1)) {
      return `"#" in "${filter}" must be the whole last level`;
    }
    if (level.includes("+") && level !== "+") {
      return `"+" in "${filter}" must be a whole level`;
    }
  }
  return undefined;
}

/** Whether there is a topic that both filters match. Prefixes of shared subscriptions are ignored. */
export function filtersOverlap(left: string, right: string): boolean {
  const a = splitShare(left).filter.split("/");
  const b = splitShare(right).filter.split("/");
  if (isReserved(a) !== isReserved(b) && (isWild(a[0]) || isWild(b[0]))) {
    return false; // A leading wildcard matches no topic that begins with "$".
  }
  for (let index = 0; ; index += 1) {
    const x = a[index];
    const y = b[index];
    if (x === "#" || y === "#") {
      return true; // "a/#" also matches its parent level "a".
    }
    if (x === undefined || y === undefined) {
      return x === y;
    }
    if (x !== y && x !== "+" && y !== "+") {
      return false;
    }
  }
}

/** Whether every topic that `inner` matches is matched by `outer` too. Shared subscriptions cover nothing but themselves. */
export function filterCovers(outer: string, inner: string): boolean {
  if (outer === inner) {
    return true;
  }
  if (splitShare(outer).group !== undefined || splitShare(inner).group !== undefined) {
    return false;
  }
  const a = outer.split("/");
  const b = inner.split("/");
  if (isWild(a[0]) && isReserved(b)) {
    return false;
  }
  for (const [index, level] of a.entries()) {
    if (level === "#") {
      return true;
    }
    const other = b[index];
    if (other === undefined || other === "#" || (level !== other && level !== "+")) {
      return false;
    }
  }
  return a.length === b.length;
}

function isWild(level: string | undefined): boolean {
  return level === "#" || level === "+";
}

function isReserved(levels: readonly string[]): boolean {
  return levels[0]?.startsWith("$") === true;
}

/** One level of the tree of filters. */
interface Node<T> {
  readonly children: Map<string, Node<T>>;
  /** Values of filters that end here. */
  readonly values: T[];
  /** Values of filters that end here with "#". */
  readonly below: T[];
}

function createNode<T>(): Node<T> {
  return { children: new Map(), values: [], below: [] };
}

/** Topics whose result is remembered; devices publish under the same topics again and again. */
const CACHED_TOPICS = 10_000;
/** A bound on memory: the results of longer topics are not remembered. */
const MAX_CACHED_LENGTH = 256;

/**
 * Finds what belongs to a topic: all values whose filter matches it by the rules of MQTT 5 §4.7, in the order they were added.
 * Filters must be valid (`filterProblem`); several values may share one filter.
 */
export class TopicRouter<T> {
  readonly #root: Node<{ readonly order: number; readonly value: T }> = createNode();
  readonly #cache = new Map<string, readonly T[]>();
  #size = 0;

  /** Adds a value under a filter. */
  add(filter: string, value: T): void {
    const entry = { order: this.#size, value };
    this.#size += 1;
    this.#cache.clear();
    let node = this.#root;
    for (const level of splitShare(filter).filter.split("/")) {
      if (level === "#") {
        node.below.push(entry);
        return;
      }
      let child = node.children.get(level);
      if (child === undefined) {
        child = createNode();
        node.children.set(level, child);
      }
      node = child;
    }
    node.values.push(entry);
  }

  /** The values of all matching filters; the same list for the same topic until `add` is called. */
  match(topic: string): readonly T[] {
    const known = this.#cache.get(topic);
    if (known !== undefined) {
      return known;
    }
    const found: { readonly order: number; readonly value: T }[] = [];
    const levels = topic.split("/");
    collect(this.#root, { levels, reserved: topic.startsWith("$") }, 0, found);
    const values = found.sort((a, b) => a.order - b.order).map((entry) => entry.value);
    if (topic.length <= MAX_CACHED_LENGTH) {
      if (this.#cache.size >= CACHED_TOPICS) {
        this.#cache.clear();
      }
      this.#cache.set(topic, values);
    }
    return values;
  }
}

function collect<T>(
  node: Node<T>,
  topic: { readonly levels: readonly string[]; readonly reserved: boolean },
  depth: number,
  found: T[],
): void {
  const wild = depth > 0 || !topic.reserved;
  if (wild) {
    found.push(...node.below);
  }
  const level = topic.levels[depth];
  if (level === undefined) {
    found.push(...node.values);
    return;
  }
  const exact = node.children.get(level);
  if (exact !== undefined) {
    collect(exact, topic, depth + 1, found);
  }
  const any = wild ? node.children.get("+") : undefined;
  if (any !== undefined) {
    collect(any, topic, depth + 1, found);
  }
}
