/**
 * Licences of everything inside the program. `scripts/build.ts` puts a packed file of its own in the place of this module: what is
 * inside is known only when the program is built.
 * @throws Error in the sources, which contain nothing of others
 */
export async function licensesText(): Promise<string> {
  throw new Error(
    'The licences are collected by the build: "bun run build", then "dist/tbgw licenses".',
  );
}
