/** What the program may be. A board's flash and a download over a mobile line set the sizes. */
export const BUDGET = {
  programBytes: 120_000_000,
  compressedBytes: 40_000_000,
  startMs: 500,
} as const;

/** As releases are compressed. No filters of xz: busybox cannot undo them. 65 MB of memory are enough to unpack. */
export const XZ = ["xz", "-9e", "-T1", "--keep", "--force", "--stdout"] as const;

/** @throws Error that says by how much a program is too large */
export function checkSizes(name: string, programBytes: number, compressedBytes: number): void {
  const limits = [
    { what: "program", bytes: programBytes, limit: BUDGET.programBytes },
    { what: "compressed", bytes: compressedBytes, limit: BUDGET.compressedBytes },
  ];
  for (const { what, bytes, limit } of limits) {
    if (bytes > limit) {
      throw new Error(`${name} is too large: ${what} ${bytes} bytes, at most ${limit}`);
    }
  }
}
