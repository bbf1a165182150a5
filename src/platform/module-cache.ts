import { createRequire } from "node:module";

const { cache } = createRequire(import.meta.url);

/** Lets files outside the program import `modules` by name, in this thread. */
export function provideModules(
  modules: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): void {
  Bun.plugin({
    name: "tbgw-modules",
    setup: (builder) => {
      for (const [name, exports] of Object.entries(modules)) {
        builder.module(name, () => ({ exports, loader: "object" }));
      }
    },
  });
}

/** Forgets a loaded module, named by its path with the query it was imported with: the next import reads its file again. */
export function forgetModule(name: string): void {
  delete cache[name];
}

/** The specifiers that the text of a script imports. @throws BuildMessage or AggregateError when it does not parse */
export function importsOf(script: string, loader: "ts" | "js"): readonly string[] {
  return new Bun.Transpiler({ loader }).scanImports(script).map(({ path }) => path);
}

/** The path of the file that a relative specifier means; `undefined` when there is none. */
export function resolveImport(specifier: string, folder: string): string | undefined {
  try {
    return Bun.resolveSync(specifier, folder);
  } catch {
    return undefined;
  }
}
