/** Path of keys and indexes from the root of a file. */
export type Path = readonly (string | number)[];

/** A list of a file of which elements were left out: where it stands, and which of its elements are left. */
export interface ShortenedList {
  readonly path: Path;
  readonly kept: readonly number[];
}

/** Of lists that are in use: the indexes their elements have in the file. */
const places = new WeakMap<object, readonly number[]>();

/** Remembers for the lists in `output`, which was made from what was left, where their elements stand in the file. */
export function rememberPlaces(output: unknown, shortened: readonly ShortenedList[]): void {
  // Lists around others first: the way to those leads through them.
  for (const { path, kept } of shortened.toSorted((a, b) => a.path.length - b.path.length)) {
    const list = follow(output, path);
    if (Array.isArray(list) && list.length === kept.length) {
      places.set(list, kept);
    }
  }
}

/** The index that an element of a list of the configuration has in its file: elements before it may have been left out. */
export function indexInFile(list: readonly unknown[], index: number): number {
  return places.get(list)?.[index] ?? index;
}

/** What stands at a path of the file; lists on the way may have been shortened. */
function follow(root: unknown, path: Path): unknown {
  let value: unknown = root;
  for (const part of path) {
    if (typeof part === "number") {
      const kept = Array.isArray(value) ? places.get(value) : undefined;
      const index = kept === undefined ? part : kept.indexOf(part);
      value = Array.isArray(value) ? value[index] : undefined;
    } else {
      value =
        typeof value === "object" && value !== null && Object.hasOwn(value, part)
          ? Reflect.get(value, part)
          : undefined;
    }
  }
  return value;
}
