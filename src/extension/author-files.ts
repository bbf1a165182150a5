/**
 * Every file that the program gives to authors of extensions, by name: the type declarations of the modules it provides, and
 * `skeletons/…`. In the built program they are embedded, made from the sources of that build.
 */
export async function authorFiles(): Promise<Readonly<Record<string, string>>> {
  const { makeAuthorFiles } = await import("../../scripts/author-files.ts");
  return await makeAuthorFiles();
}
