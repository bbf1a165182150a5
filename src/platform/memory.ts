/**
 * Collects the garbage of this thread at once. The run time lets a heap double before it does so by itself; on a small board that is
 * memory nobody can spare while a backlog runs through. Costs some milliseconds, depending on what is alive.
 */
export function collectGarbage(): void {
  Bun.gc(true);
}
