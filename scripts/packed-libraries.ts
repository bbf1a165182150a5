// Libraries that most gateways do not need: embedded as packed scripts, which are unpacked when they are asked for. As part of the
// program's bytecode they would be ten times as large.
import { readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { BUNDLE } from "./bundle-options.ts";
import { opcuaServer } from "./opcua-server.ts";

const root = join(import.meta.dir, "..");

/** Folders whose library is packed. Their `library.ts` imports their `library-entry.ts`, which names what is used of the library. */
const PACKED = ["connectors/ble", "connectors/opcua", "src/demo", "src/demo/opcua"];

/** What a script is imported by. */
const importName = (file: string): string =>
  `tbgw-${file.replace(/\.js$/, "").replaceAll("/", "-")}`;

/** The bundler writes some paths with `./` in front. */
const relative = (path: string): string => path.replace(/^\.\//, "");

const entryOf = (folder: string): string => join(root, folder, "library-entry.ts");

/** Bundles the libraries into a directory: what two of them use is in it once. Gives what the program is built with. */
export async function packLibraries(
  directory: string,
): Promise<{ readonly plugins: Bun.BunPlugin[]; readonly external: string[] }> {
  const result = await Bun.build({
    ...BUNDLE,
    entrypoints: PACKED.map(entryOf),
    root,
    plugins: [...BUNDLE.plugins, opcuaServer],
    splitting: true,
    metafile: true,
    naming: { entry: "[dir]/[name].js", chunk: "library-[hash].js" },
    outdir: directory,
  });
  if (!result.success || result.metafile === undefined) {
    throw new AggregateError(result.logs, "Cannot bundle the libraries");
  }
  const outputs: Outputs = Object.fromEntries(
    Object.entries(result.metafile.outputs).map(([file, output]) => [relative(file), output]),
  );
  for (const file of Object.keys(outputs)) {
    await packScript(join(directory, file), Object.keys(outputs));
  }
  return {
    plugins: PACKED.map((folder) => {
      const entry = `${folder}/library-entry.js`;
      return embedded(folder, [entry, ...importedBy(entry, outputs)], directory);
    }),
    external: Object.keys(outputs).map((file) => importName(file)),
  };
}

/** Compresses a file beside itself, and says where. */
export async function pack(path: string): Promise<string> {
  const params = { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS };
  await writeFile(`${path}.br`, brotliCompressSync(await readFile(path), { params }));
  return `${path}.br`;
}

/** Makes the scripts of a bundle importable by name, from wherever they are, and packs this one. */
async function packScript(path: string, files: readonly string[]): Promise<void> {
  let text = await readFile(path, "utf8");
  for (const file of files) {
    const anywhere = new RegExp(`(from|import)"(?:\\.{1,2}/)+${basename(file)}"`, "g");
    text = text.replace(anywhere, `$1"${importName(file)}"`);
  }
  await writeFile(path, text);
  await pack(path);
}

type Outputs = Bun.BuildMetafile["outputs"];

/** The scripts that an output needs, directly and through others. */
function importedBy(file: string, outputs: Outputs): readonly string[] {
  const found = new Set<string>();
  const look = (from: string): void => {
    for (const imported of outputs[from]?.imports ?? []) {
      const path = relative(imported.path);
      if (outputs[path] !== undefined && !found.has(path)) {
        found.add(path);
        look(path);
      }
    }
  };
  look(file);
  return [...found];
}

/** Replaces the module that imports a library by one that unpacks and loads the embedded scripts. */
function embedded(folder: string, files: readonly string[], directory: string): Bun.BunPlugin {
  const path = (file: string): string => JSON.stringify(join(directory, `${file}.br`));
  const imports = files.map(
    (file, at) => `import path${at} from ${path(file)} with { type: "file" };`,
  );
  const scripts = files.map((file, at) => `{ name: "${importName(file)}", path: path${at} }`);
  const contents = [
    ...imports,
    'import { loadPackedLibrary } from "#platform/packed-library";',
    `export const loadLibrary = () => loadPackedLibrary([${scripts.join(", ")}]);`,
  ].join("\n");
  return {
    name: `embedded-${folder}`,
    setup: (builder) => {
      const filter = new RegExp(`/${folder}/library\\.ts$`);
      builder.onLoad({ filter }, () => ({ loader: "ts", contents }));
    },
  };
}
