import { readdirSync, readFileSync } from "node:fs";

/** How often each thread of a process has given up the processor by itself: `name/id` → count. Linux only. */
export function voluntarySwitches(pid: number): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const id of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${id}/status`, "utf8");
    const name = /^Name:\t(.*)$/m.exec(status)?.[1] ?? "?";
    counts.set(
      `${name}/${id}`,
      Number(/^voluntary_ctxt_switches:\t(\d+)$/m.exec(status)?.[1] ?? 0),
    );
  }
  return counts;
}

/** What was added between two looks, by thread, the busiest first. */
export function switchesBetween(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): readonly (readonly [thread: string, count: number])[] {
  return [...after]
    .map(([thread, count]) => [thread, count - (before.get(thread) ?? 0)] as const)
    .filter(([, count]) => count > 0)
    .toSorted((a, b) => b[1] - a[1]);
}
