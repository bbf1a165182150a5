// What the program holds for authors of extensions: the type declarations of the modules it provides, made from the sources by the
// compiler, each in one file that needs no other package; and the skeletons of `tbgw extension new`.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const root = join(import.meta.dir, "..");

/** The modules that the program provides to extensions, by the file that says what they export. */
const MODULES = {
  "tbgw/sdk": "src/extension/modules.ts",
  "tbgw/testing": "src/extension/testing.ts",
} as const;
const SKELETONS = join(root, "src/extension/skeletons");

/** One statement, or several of one name (overloads), of a declaration file. */
interface Declaration {
  /** Functions and constants take part in a type by `typeof` or as a computed key alone; their names are common words. */
  readonly isValue: boolean;
  /** With its doc comment, without `export`. */
  readonly text: string;
}

/** Where a name of a file comes from. `name` undefined: the whole module under one name. */
interface Origin {
  readonly module: string;
  readonly name: string | undefined;
}

/** A name that another module exports. */
interface Known {
  readonly module: string;
  readonly name: string;
}

/** A declaration file, taken apart. */
interface Parsed {
  readonly declarations: ReadonlyMap<string, Declaration>;
  readonly imports: ReadonlyMap<string, Origin>;
  /** What it hands on, by the name it gets. */
  readonly exports: ReadonlyMap<string, Origin>;
}

/** A name, with the member that follows it. */
const NAMES = /(?<![\w$]|(?<!\.\.)\.)[A-Za-z_$][\w$]*(?:\.\w+)?/g;
const COMMENT_OR_STRING = /\/\*[\s\S]*?\*\/|\/\/.*$|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`/gm;

/** Writes the declarations of the sources into a folder. */
async function emit(files: readonly string[], outDir: string): Promise<void> {
  const config = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      // Checking is the business of the project's own run of the compiler.
      noCheck: true,
      outDir,
      rootDir: root,
      typeRoots: [join(root, "node_modules/@types")],
    },
    include: [],
    files: files.map((file) => join(root, file)),
  };
  const project = join(outDir, "tsconfig.json");
  await mkdir(outDir, { recursive: true });
  await writeFile(project, JSON.stringify(config));
  const tsc = join(root, "node_modules/typescript/lib/tsc.js");
  const child = Bun.spawn([process.execPath, tsc, "-p", project], {
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, BUN_BE_BUN: "1" },
  });
  const output = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) {
    throw new Error(`Cannot write the declarations:\n${output}`);
  }
}

/** Takes a declaration file apart. Statements of such files begin at the first column, their inner lines do not. */
function parse(text: string, module: string): Parsed {
  const declarations = new Map<string, Declaration>();
  const imports = new Map<string, Origin>();
  const exports = new Map<string, Origin>();
  for (const statement of statementsOf(text)) {
    const code = statement.replaceAll(/\/\*[\s\S]*?\*\//g, "").trim();
    const [, from] = /\bfrom\s+"([^"]+)"/.exec(code) ?? [];
    const source = from === undefined ? module : resolveModule(from, module);
    const list = /^(?:import|export)\s+(?:type\s+)?\{([\s\S]*)\}/.exec(code)?.[1];
    const whole = /^import\s+(?:type\s+)?\*\s+as\s+(\w+)/.exec(code)?.[1];
    if (whole !== undefined) {
      imports.set(whole, { module: source, name: undefined });
    } else if (list !== undefined) {
      const target = code.startsWith("import") ? imports : exports;
      for (const { name, as } of namesOf(list)) {
        target.set(as, { module: source, name });
      }
    } else {
      const name = addDeclaration(statement, declarations);
      if (code.startsWith("export ")) {
        exports.set(name, { module, name });
      }
    }
  }
  return { declarations, imports, exports };
}

function statementsOf(text: string): readonly string[] {
  const statements: string[] = [];
  let lines: string[] = [];
  let inComment = false;
  const isOpen = (): boolean =>
    lines.some((line) => /^(export|import|declare|interface|type)\b/.test(line));
  for (const line of text.split("\n")) {
    const startsComment: boolean = !inComment && line.startsWith("/**");
    const starts =
      startsComment || (!inComment && /^(export|import|declare|interface|type)\b/.test(line));
    if (starts && isOpen()) {
      statements.push(lines.join("\n"));
      lines = [];
    }
    if (!line.startsWith("//#")) {
      lines.push(line);
    }
    inComment = startsComment ? !line.includes("*/") : inComment && !line.includes("*/");
  }
  return [...statements, lines.join("\n")].filter((one) => one.trim() !== "");
}

function namesOf(list: string): readonly { readonly name: string; readonly as: string }[] {
  return list
    .split(",")
    .map((part) => part.trim().replace(/^type\s+/, ""))
    .filter((part) => part !== "")
    .map((part) => {
      const [name = "", as] = part.split(/\s+as\s+/);
      return { name, as: as ?? name };
    });
}

function addDeclaration(statement: string, to: Map<string, Declaration>): string {
  const text = statement.trim().replace(/^(export )(?=declare|interface|type|abstract)/m, "");
  const code = text.replaceAll(COMMENT_OR_STRING, "");
  const [, kind, name] =
    /^(?:declare\s+)?(?:abstract\s+)?(function|class|interface|type|const|let)\s+([\w$]+)/m.exec(
      code,
    ) ?? [];
  if (name === undefined) {
    throw new Error(`Cannot read a declaration:\n${statement}`);
  }
  const before = to.get(name);
  to.set(name, {
    isValue: ["function", "const", "let"].includes(kind ?? ""),
    text: before === undefined ? text : `${before.text}\n${text}`,
  });
  return name;
}

function resolveModule(specifier: string, from: string): string {
  if (/^#(sdk|platform)\//.test(specifier)) {
    return `src/${specifier.slice(1)}`;
  }
  return specifier.startsWith(".")
    ? join(dirname(from), specifier).replace(/\.ts$/, "")
    : specifier;
}

/** Collects what an entry module exports with all that it is made from, each under a name of its own. */
class Bundle {
  readonly #read: (module: string) => Promise<string>;
  readonly #modules = new Map<string, Parsed>();
  /** Names in the bundle, by module and name. */
  readonly #names = new Map<string, string>();
  readonly #taken = new Set<string>();
  readonly #texts = new Map<string, string>();
  /** What is imported instead of declared a second time: two classes of one name would be two types. */
  readonly #known: ReadonlyMap<string, Known>;
  readonly #imported = new Map<string, Set<string>>();
  /** The exports, by module and name. */
  readonly exported = new Map<string, string>();

  constructor(
    read: (module: string) => Promise<string>,
    known: ReadonlyMap<string, Known> = new Map(),
  ) {
    this.#read = read;
    this.#known = known;
  }

  /** The declarations of `entry`: what it exports first reserves its names. */
  async write(entry: string): Promise<string> {
    for (const [as, origin] of (await this.#parsed(entry)).exports) {
      const { module, name } = await this.#locate(origin.module, origin.name ?? as);
      const key = `${module}#${name}`;
      this.#names.set(key, as);
      this.#taken.add(as);
      this.exported.set(key, as);
    }
    for (const key of this.exported.keys()) {
      await this.#add(key);
    }
    const isOwn = ([key]: readonly [string, string]): boolean => /^(src|connectors)\//.test(key);
    const texts = [...this.#texts];
    const sorted = [...texts.filter(isOwn), ...texts.filter((one) => !isOwn(one))];
    const parts = sorted.map(([key, text]) => (this.exported.has(key) ? exportAll(text) : text));
    const imports = [...this.#imported].map(
      ([module, names]) =>
        `import type { ${[...names].toSorted().join(", ")} } from "${module}";\n\n`,
    );
    return `${imports.join("")}${parts.join("\n\n")}\n\nexport {};\n`;
  }

  async #parsed(module: string): Promise<Parsed> {
    let parsed = this.#modules.get(module);
    if (parsed === undefined) {
      parsed = parse(await this.#read(module), module);
      this.#modules.set(module, parsed);
    }
    return parsed;
  }

  /** Follows a name to the file that declares it. */
  async #locate(
    module: string,
    name: string,
  ): Promise<{ readonly module: string; readonly name: string }> {
    const { declarations, exports } = await this.#parsed(module);
    const onward = exports.get(name);
    const inner = onward?.name ?? name;
    if (onward !== undefined && onward.module !== module) {
      return await this.#locate(onward.module, inner);
    }
    if (!declarations.has(inner)) {
      throw new Error(`"${module}" does not declare "${inner}"`);
    }
    return { module, name: inner };
  }

  async #add(key: string): Promise<void> {
    if (this.#texts.has(key)) {
      return;
    }
    const { module, name, text } = await this.#declaration(key);
    this.#texts.set(key, text);
    const renames = new Map([[name, this.#nameOf(key)]]);
    const code = text.replaceAll(COMMENT_OR_STRING, "");
    for (const word of new Set(code.match(NAMES) ?? [])) {
      const target = await this.#targetOf(word, code, module);
      if (target === undefined) {
        continue;
      }
      const elsewhere = this.#known.get(target.key);
      renames.set(target.word, elsewhere?.name ?? this.#nameOf(target.key));
      if (elsewhere === undefined) {
        await this.#add(target.key);
      } else {
        const names = this.#imported.get(elsewhere.module) ?? new Set();
        this.#imported.set(elsewhere.module, names.add(elsewhere.name));
      }
    }
    this.#texts.set(key, renamed(text, renames));
  }

  async #declaration(
    key: string,
  ): Promise<{ readonly module: string; readonly name: string; readonly text: string }> {
    const [module = "", name = ""] = key.split("#");
    const { declarations } = await this.#parsed(module);
    return { module, name, text: declarations.get(name)?.text ?? "" };
  }

  /** What a name in the code of a module means, and which part of the word is the name; `undefined` for what is none of ours. */
  async #targetOf(
    word: string,
    code: string,
    module: string,
  ): Promise<{ readonly key: string; readonly word: string } | undefined> {
    const parsed = await this.#parsed(module);
    const [head = "", member] = word.split(".");
    const isLocal = parsed.declarations.has(head);
    const origin = isLocal ? { module, name: head } : parsed.imports.get(head);
    const wanted = origin?.name ?? member;
    if (origin === undefined || wanted === undefined) {
      return undefined;
    }
    const target = await this.#locate(origin.module, wanted);
    const found = (await this.#parsed(target.module)).declarations.get(target.name);
    return found?.isValue === true && !isUsedAsValue(code, word)
      ? undefined
      : {
          key: `${target.module}#${target.name}`,
          word: origin.name === undefined ? word : head,
        };
  }

  #nameOf(key: string): string {
    const known = this.#names.get(key);
    if (known !== undefined) {
      return known;
    }
    const base = key.split("#")[1] ?? "";
    let name = base;
    for (let count = 2; this.#taken.has(name); count += 1) {
      name = `${base}${count}`;
    }
    this.#taken.add(name);
    this.#names.set(key, name);
    return name;
  }
}

function isUsedAsValue(code: string, name: string): boolean {
  const quoted = RegExp.escape(name);
  return new RegExp(`\\btypeof\\s+${quoted}(?![\\w$])|^\\s*\\[${quoted}\\]`, "m").test(code);
}

/** Puts the new names where the code, not a comment or text, has the old ones. */
function renamed(text: string, renames: ReadonlyMap<string, string>): string {
  let result = "";
  let end = 0;
  const replace = (code: string): string =>
    code.replaceAll(NAMES, (word) => {
      const [head = "", ...rest] = word.split(".");
      const other = renames.get(head);
      return renames.get(word) ?? (other === undefined ? word : [other, ...rest].join("."));
    });
  for (const match of text.matchAll(COMMENT_OR_STRING)) {
    result += replace(text.slice(end, match.index)) + match[0];
    end = match.index + match[0].length;
  }
  return result + replace(text.slice(end));
}

function exportAll(text: string): string {
  return text.replaceAll(/^(?=(declare|interface|type|abstract)\b)/gm, "export ");
}

/** Every file that the program gives to authors of extensions, by name: declarations and skeletons. @throws when the compiler finds a mistake */
export async function makeAuthorFiles(): Promise<Readonly<Record<string, string>>> {
  const directory = await mkdtemp(join(tmpdir(), "tbgw-declarations-"));
  try {
    await emit(Object.values(MODULES), directory);
    const valibot = join(root, "node_modules/valibot/dist/index.d.mts");
    const read = async (module: string): Promise<string> =>
      await readFile(module === "valibot" ? valibot : join(directory, `${module}.d.ts`), "utf8");
    const files: Record<string, string> = { "valibot.d.ts": await read("valibot") };
    const known = new Map<string, Known>();
    for (const [name, file] of Object.entries(MODULES)) {
      const bundle = new Bundle(read, new Map(known));
      const title = `/** Type declarations of the module \`${name}\`. Written by \`tbgw sdk\`; not to be edited. */`;
      files[`${name.replace("/", "-")}.d.ts`] =
        `${title}\n\n${await bundle.write(file.replace(/\.ts$/, ""))}`;
      for (const [key, exported] of bundle.exported) {
        known.set(key, { module: name, name: exported });
      }
    }
    for (const name of await readdir(SKELETONS)) {
      files[`skeletons/${name}`] = await readFile(join(SKELETONS, name), "utf8");
    }
    return files;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** For the build: packs the files into one, and replaces the module that gives them out by one that unpacks it. */
export async function embeddedAuthorFiles(directory: string): Promise<Bun.BunPlugin> {
  const packed = join(directory, "author-files.json.br");
  const params = { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS };
  const text = JSON.stringify(await makeAuthorFiles());
  await mkdir(directory, { recursive: true });
  await writeFile(packed, brotliCompressSync(text, { params }));
  return {
    name: "embedded-author-files",
    setup: (builder) => {
      builder.onLoad({ filter: /\/src\/extension\/author-files\.ts$/ }, () => ({
        loader: "ts",
        contents: [
          `import path from ${JSON.stringify(packed)} with { type: "file" };`,
          'import { brotliDecompressSync } from "node:zlib";',
          "export async function authorFiles() {",
          "  return JSON.parse(brotliDecompressSync(await Bun.file(path).bytes()).toString());",
          "}",
        ].join("\n"),
      }));
    },
  };
}
