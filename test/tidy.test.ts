// The rules of CONTRIBUTING.md that a machine can check about the code itself.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";

const root = resolve(import.meta.dir, "..");

/** Folders that git ignores; `.gitignore` is checked to say so. */
const IGNORED = ["node_modules", "dist", "data", ".venv", ".git"];

/** Every file of the project, without asking git: it may be missing where the tests run. */
const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
  (path) =>
    !path.split("/").some((part) => IGNORED.includes(part)) && statSync(join(root, path)).isFile(),
);
const sources = files.filter((path) => /^(src|connectors)\/.*\.ts$/.test(path));
const scripts = files.filter((path) => /^(src|connectors|scripts|test)\/.*\.ts$/.test(path));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const withoutComments = (text: string): string =>
  text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "$1");

interface Import {
  readonly from: string;
  /** Path from the root for our own files, the package name otherwise. */
  readonly to: string;
  readonly typeOnly: boolean;
  readonly lazy: boolean;
}

/** Every import of a file, with our own targets resolved to paths from the root. */
function importsOf(path: string): readonly Import[] {
  const text = withoutComments(read(path));
  const found: Import[] = [];
  const add = (specifier: string, typeOnly: boolean, lazy: boolean): void => {
    found.push({ from: path, to: resolveSpecifier(path, specifier), typeOnly, lazy });
  };
  for (const match of text.matchAll(
    /\b(?:import|export)\s+(type\s+)?([^"';]*?)\s*from\s+"([^"]+)"/g,
  )) {
    const names = match[2] ?? "";
    const allTypes =
      /^\{[^}]*\}$/.test(names) &&
      names
        .slice(1, -1)
        .split(",")
        .every((name) => name.trim() === "" || name.trim().startsWith("type "));
    add(match[3] ?? "", match[1] !== undefined || allTypes, false);
  }
  for (const match of text.matchAll(/\bimport\s+"([^"]+)"/g)) {
    add(match[1] ?? "", false, false);
  }
  for (const match of text.matchAll(/\bimport\(\s*"([^"]+)"/g)) {
    add(match[1] ?? "", false, true);
  }
  return found;
}

function resolveSpecifier(path: string, specifier: string): string {
  if (specifier.startsWith("#sdk/") || specifier.startsWith("#platform/")) {
    return `src/${specifier.slice(1)}.ts`;
  }
  return specifier.startsWith(".")
    ? relative(root, resolve(root, dirname(path), specifier))
    : specifier;
}

const area = (path: string): string => path.split("/").slice(0, 2).join("/");
const all = scripts.flatMap(importsOf);
const inSources = all.filter(({ from }) => /^(src|connectors)\//.test(from));

/** Fails with the list of what breaks a rule. */
function expectNone(broken: readonly (string | Import)[]): void {
  expect(broken.map((one) => (typeof one === "string" ? one : `${one.from} → ${one.to}`))).toEqual(
    [],
  );
}

describe("the tree", () => {
  test("the root holds what the project fixed and nothing else", () => {
    const allowed = new Set([
      "package.json",
      "bunfig.toml",
      "tsconfig.json",
      "biome.json",
      ".oxlintrc.json",
      ".gitignore",
      "LICENSE",
      "README.md",
      "CONTRIBUTING.md",
      "SECURITY.md",
      "CHANGELOG.md",
      "bun.lock",
      ".ci",
      "src",
      "connectors",
      "scripts",
      "test",
    ]);
    expectNone(
      [...new Set(files.map((path) => path.split("/")[0] ?? ""))].filter(
        (name) => !allowed.has(name),
      ),
    );
  });

  test("build output and data are ignored by git", () => {
    const ignored = read(".gitignore").split("\n");
    expectNone(IGNORED.filter((name) => name !== ".git" && !ignored.includes(`${name}/`)));
    expectNone(["*.db", "*.db-wal", "*.db-shm", "*.log"].filter((name) => !ignored.includes(name)));
  });

  test("file names are kebab-case and say what a file holds", () => {
    expectNone(
      scripts.filter((path) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(basename(path))),
    );
    expectNone(
      scripts.filter((path) =>
        /^(utils?|helpers?|common|misc|types|index)\.ts$/.test(basename(path)),
      ),
    );
  });

  test("each connector has the required files", () => {
    const missing: string[] = [];
    for (const name of readdirSync(join(root, "connectors"))) {
      for (const file of ["connector.ts", "config.ts", "uplink.ts", "README.md"]) {
        if (name !== "custom" && !existsSync(join(root, "connectors", name, file))) {
          missing.push(`connectors/${name}/${file}`);
        }
      }
    }
    expectNone(missing);
  });

  test("each file of a connector beyond the usual ones has its line in the README", () => {
    const usual = new Set([
      "connector.ts",
      "config.ts",
      "uplink.ts",
      "downlink.ts",
      "client.ts",
      "codec.ts",
      "plan.ts",
      "legacy.ts",
    ]);
    const unnamed = files.filter((path) => {
      const match = /^connectors\/([^/]+)\/([^/]+\.ts)$/.exec(path);
      return (
        match !== null &&
        !usual.has(match[2] ?? "") &&
        !read(`connectors/${match[1]}/README.md`).includes(match[2] ?? "")
      );
    });
    expectNone(unnamed);
  });
});

describe("who may import whom", () => {
  test("the SDK imports nothing of ours from outside itself", () => {
    expectNone(
      inSources.filter(
        ({ from, to }) =>
          from.startsWith("src/sdk/") &&
          /^(src|connectors)\//.test(to) &&
          !to.startsWith("src/sdk/"),
      ),
    );
  });

  test("platform imports only the SDK", () => {
    expectNone(
      inSources.filter(
        ({ from, to }) =>
          from.startsWith("src/platform/") &&
          /^(src|connectors)\//.test(to) &&
          !/^src\/(sdk|platform)\//.test(to),
      ),
    );
  });

  test("a connector imports the SDK, the platform, its own folder and packages", () => {
    expectNone(
      inSources.filter(
        ({ from, to }) =>
          from.startsWith("connectors/") &&
          /^(src|connectors)\//.test(to) &&
          !/^src\/(sdk|platform)\//.test(to) &&
          area(from) !== area(to),
      ),
    );
  });

  test("the shipped examples import tbgw/sdk and packages alone, as an extension does", () => {
    expectNone(
      inSources.filter(
        ({ from, to }) =>
          from.startsWith("connectors/custom/") &&
          /^(src|connectors)\//.test(to) &&
          area(to) !== "connectors/custom",
      ),
    );
  });

  test("only the registry names connectors, by lazy import", () => {
    expectNone(
      inSources.filter(
        ({ from, to, lazy }) =>
          from.startsWith("src/") &&
          to.startsWith("connectors/") &&
          !(from === "src/connector/registry.ts" && lazy),
      ),
    );
  });

  test("storage and thingsboard are loaded by the delivery thread alone", () => {
    const own = /^src\/(storage|thingsboard)\//;
    // `tbgw store` reads the file of a store, which may be running in another process; it opens none of its own.
    const isInspection = (from: string, to: string): boolean =>
      from === "src/commands/store.ts" && to === "src/storage/inspect.ts";
    // `tbgw init` connects to the platform once, in a process without a gateway.
    const isTrial = (from: string, to: string): boolean =>
      from === "src/commands/init/platform-trial.ts" && to === "src/thingsboard/trial.ts";
    expectNone(
      inSources.filter(
        ({ from, to, typeOnly }) =>
          own.test(to) &&
          !typeOnly &&
          area(from) !== area(to) &&
          from !== "src/delivery/worker.ts" &&
          !isInspection(from, to) &&
          !isTrial(from, to),
      ),
    );
  });

  test("thingsboard, storage, pipeline and web meet only in the composition roots", () => {
    const areas = /^src\/(storage|thingsboard|pipeline|web)\//;
    // The interface of the store is there for everybody, as types.
    expectNone(
      inSources.filter(
        ({ from, to, typeOnly }) =>
          areas.test(from) &&
          areas.test(to) &&
          area(from) !== area(to) &&
          !(typeOnly && to === "src/storage/event-store.ts") &&
          to !== "src/storage/event-store.ts",
      ),
    );
  });

  test("bun's own modules are imported by platform alone", () => {
    expectNone(
      inSources.filter(({ from, to }) => /^bun(:|$)/.test(to) && !from.startsWith("src/platform/")),
    );
  });

  test("pure files do no input or output", () => {
    const pure =
      /(^connectors\/[^/]+\/(uplink|downlink|codec|plan)\.ts$)|(^src\/sdk\/encode\.ts$)|(^src\/thingsboard\/(payloads|split)\.ts$)|(^src\/storage\/record\.ts$)/;
    expectNone(
      inSources.filter(
        ({ from, to, typeOnly }) =>
          pure.test(from) &&
          !typeOnly &&
          (/^(node|bun):/.test(to) || /sdk\/(clock|logger)\.ts$/.test(to)),
      ),
    );
  });
});

describe("the code", () => {
  const matching = (pattern: RegExp, paths: readonly string[]): string[] =>
    paths.filter((path) => pattern.test(withoutComments(read(path))));

  test("process.exit is called in main alone", () => {
    expectNone(matching(/\bprocess\.exit\(/, sources).filter((path) => path !== "src/main.ts"));
  });

  test("the environment is read in the commands and handed on", () => {
    expectNone(
      matching(/\bprocess\.env\b/, sources).filter(
        (path) => !/^src\/(commands\/|main\.ts)/.test(path),
      ),
    );
  });

  test("there is no enum, no eval, no empty catch and no hidden any", () => {
    expectNone(matching(/^\s*(export\s+)?(const\s+)?enum\s/m, scripts));
    expectNone(matching(/\beval\(|\bnew Function\(/, sources));
    expectNone(matching(/catch\s*(\([^)]*\))?\s*\{\s*\}/, sources));
    expectNone(
      matching(/:\s*any\b|as\s+any\b|@ts-ignore|@ts-nocheck/, scripts).filter(
        (path) => path !== "test/tidy.test.ts",
      ),
    );
  });

  test("timers and wall clock stay in clock.ts", () => {
    expectNone(
      matching(/\b(setTimeout|setInterval)\(|\bDate\.now\(|AbortSignal\.timeout\(/, sources).filter(
        (path) => path !== "src/sdk/clock.ts",
      ),
    );
  });

  test("no test sleeps, listens on a fixed port, or is switched off", () => {
    const tests = files.filter(
      (path) => /^test\/.*\.test\.ts$/.test(path) && path !== "test/tidy.test.ts",
    );
    expectNone(matching(/\b(setTimeout|Bun\.sleep(Sync)?)\(/, tests));
    expectNone(matching(/\.listen\(\s*[1-9]/, tests));
    expectNone(matching(/\b(it|test|describe)\.(only|skip|todo)\(/, tests));
  });

  test("error classes have literal names", () => {
    const nameless = sources.filter((path) => {
      const text = read(path);
      return [...text.matchAll(/class (\w+) extends (Error|\w+Error)\b/g)].some(
        ([, name]) => !text.includes(`readonly name = "${name}"`),
      );
    });
    expectNone(nameless);
  });

  test("no file of sources is longer than 400 lines", () => {
    expectNone(sources.filter((path) => read(path).split("\n").length > 401));
  });

  test("every export has a doc comment", () => {
    const bare: string[] = [];
    for (const path of sources) {
      const lines = read(path).split("\n");
      for (const [index, line] of lines.entries()) {
        if (
          /^export (default )?(abstract )?(async )?(function|class|interface|type(?! \{)|const)\b/.test(
            line,
          )
        ) {
          let above = index - 1;
          while ((lines[above] ?? "").startsWith("// ")) {
            above -= 1;
          }
          if (!/\*\/\s*$/.test(lines[above] ?? "") && !line.startsWith("export default")) {
            bare.push(`${path}:${index + 1} ${line}`);
          }
        }
      }
    }
    expectNone(bare);
  });

  test("the lock file names no host", () => {
    expect(read("bun.lock")).not.toMatch(/https?:\/\//);
  });
});
