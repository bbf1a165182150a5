// Writes the option tables of the READMEs from the schemas: `bun scripts/gen-docs.ts`. `--check` changes nothing and fails
// when a table is out of date. A table stands between `<!-- options:begin NAME [PATH] -->` and `<!-- options:end -->`;
// NAME is a file as `tbgw schema` names it, PATH limits the table to the options below it.
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { fileKinds } from "../src/config/files.ts";
import { rewriteTables } from "../src/config/option-table.ts";
import { connectorTypes } from "../src/connector/registry.ts";

const root = join(import.meta.dir, "..");

function readmes(): readonly string[] {
  const connectors = readdirSync(join(root, "connectors")).map((name) =>
    join(root, "connectors", name, "README.md"),
  );
  const areas = ["config", "logging"].map((name) => join(root, "src", name, "README.md"));
  return [join(root, "README.md"), ...areas, ...connectors];
}

async function main(checkOnly: boolean): Promise<number> {
  const kinds = await fileKinds(connectorTypes);
  let outdated = 0;
  for (const path of readmes()) {
    const file = Bun.file(path);
    if (!(await file.exists())) {
      continue;
    }
    const name = relative(root, path);
    const text = await file.text();
    const { text: wanted, problems } = rewriteTables(text, kinds);
    for (const problem of problems) {
      console.error(`${name}: ${problem}`);
    }
    outdated += problems.length;
    if (wanted === text) {
      continue;
    }
    if (checkOnly) {
      console.error(`${name}: the option tables are out of date; run "bun run gen"`);
      outdated += 1;
    } else {
      await Bun.write(path, wanted);
      console.log(`${name}: written`);
    }
  }
  return outdated === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.includes("--check"));
