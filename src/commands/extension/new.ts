import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { defineCommand } from "citty";
import { connectorTypes } from "../../connector/registry.ts";
import { authorFiles } from "../../extension/author-files.ts";
import type { Kind } from "../../extension/definitions.ts";
import {
  type NewFile,
  type SkeletonChoice,
  skeletonFiles,
  stemOf,
} from "../../extension/skeleton.ts";
import { UsageError } from "../flags.ts";
import { print } from "../print.ts";

const KINDS = ["connector", "uplink", "downlink", "rpc"] as const;
/** Longest name of an extension. */
const MAX_NAME = 64;

/** `tbgw extension new` */
export const newCommand = defineCommand({
  meta: { name: "new", description: "Write a working extension with its test; overwrites nothing" },
  args: {
    name: {
      type: "positional",
      required: true,
      description: "What the configuration calls it, such as TankLevelConverter",
    },
    kind: {
      type: "string",
      valueHint: KINDS.join("|"),
      description: "What it is (default: connector)",
    },
    type: {
      type: "string",
      valueHint: "TYPE",
      description:
        "Type of the connectors: of a connector its own (default: from its name), of a converter mqtt (default), modbus, opcua, ble, serial, …",
    },
    dir: {
      type: "string",
      valueHint: "DIR",
      description: "Folder of extensions (default: ./extensions)",
    },
  },
  run: async ({ args }) => {
    if (args._.length > 1) {
      throw new UsageError(`extension new takes one name, not "${args._.join(" ")}"`);
    }
    const choice = chooseSkeleton({ name: args.name, kind: args.kind, type: args.type });
    const files = skeletonFiles(choice, await authorFiles());
    const written = await writeNew(choice, files, args.dir ?? "extensions");
    await print(written.text);
    return written.code;
  },
});

/** What the arguments ask for. @throws UsageError that says what a name or type must look like */
export function chooseSkeleton(given: {
  readonly name: string;
  readonly kind?: string | undefined;
  readonly type?: string | undefined;
}): SkeletonChoice {
  const kind = KINDS.find((one) => one === (given.kind ?? "connector"));
  if (kind === undefined) {
    throw new UsageError(`--kind must be one of ${KINDS.join(", ")}, but is "${given.kind}"`);
  }
  const { name } = given;
  if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name) || name.length > MAX_NAME) {
    throw new UsageError(
      `Cannot name an extension "${name}": a name has letters, digits and underscores, begins with a letter and is at most ${MAX_NAME} long, such as TankLevelConverter`,
    );
  }
  return { kind, name, type: typeFor(kind, name, given.type) };
}

function typeFor(kind: Kind, name: string, given: string | undefined): string {
  if (kind === "rpc") {
    if (given !== undefined) {
      throw new UsageError("A method of the gateway has no --type");
    }
    return "rpc";
  }
  const own = name
    .replace(/_?Connector$/i, "")
    .replaceAll("_", "")
    .toLowerCase();
  const type = (given ?? (kind === "connector" ? own : "mqtt")).toLowerCase();
  if (!/^[a-z][a-z0-9_-]*$/.test(type)) {
    throw new UsageError(
      `Cannot use the type "${type}": it has letters, digits, "-" and "_", and begins with a letter; choose one with --type`,
    );
  }
  const reserved = ["shared", "types", "rpc", "grpc", "node_modules"];
  const isTaken = kind === "connector" && Object.hasOwn(connectorTypes, type);
  if (isTaken || reserved.includes(type)) {
    throw new UsageError(
      `The type "${type}" is taken by the program itself: choose another with --type`,
    );
  }
  return type;
}

interface Written {
  readonly text: string;
  readonly code: 0 | 1;
}

/** Writes the files of a new extension into a folder; nothing at all when one of its own is there already. */
export async function writeNew(
  choice: SkeletonChoice,
  files: readonly NewFile[],
  dir: string,
): Promise<Written> {
  const taken = files.filter(({ path, shared }) => !shared && existsSync(join(dir, path)));
  if (taken.length > 0) {
    const list = taken.map(({ path }) => `  ${join(dir, path)}\n`).join("");
    return { text: `Nothing is written, because this is there already:\n${list}`, code: 1 };
  }
  const lines = ["Written:"];
  for (const file of files) {
    const path = join(dir, file.path);
    const state = await writeOne(file, path);
    if (state !== "same") {
      lines.push(
        state === "written" ? `  ${path}` : `  ${path} is there already and differs: left`,
      );
    }
  }
  return { text: `${[...lines, "", ...nextSteps(choice, dir)].join("\n")}\n`, code: 0 };
}

async function writeOne(file: NewFile, path: string): Promise<"written" | "same" | "differs"> {
  // Whatever the umask: what everybody may write to would be refused.
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  try {
    await writeFile(path, file.text, { flag: "wx", mode: 0o644 });
    return "written";
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST" && file.shared)) {
      throw error;
    }
    return (await readFile(path, "utf8")) === file.text ? "same" : "differs";
  }
}

function nextSteps({ kind, name, type }: SkeletonChoice, dir: string): readonly string[] {
  const base = join(dir, type, stemOf(name));
  const steps = [`tbgw extension test ${base}.test.ts`];
  if (kind === "connector") {
    steps.push(`tbgw extension test ${base}.ts --config ${base}.json`);
    const entry = { name: "My device", type, class: name, configuration: `${stemOf(name)}.json` };
    return [
      "Next:",
      ...steps.map(indent),
      "",
      "Its entry in tb_gateway.json:",
      indent(JSON.stringify(entry)),
    ];
  }
  if (kind === "uplink" && type !== "modbus" && type !== "opcua") {
    const topic = type === "mqtt" ? " --topic tank/T-7" : "";
    steps.push(`tbgw extension test ${base}.ts --config ${base}.json --input ${base}.hex${topic}`);
  }
  return ["Next:", ...steps.map(indent)];
}

function indent(line: string): string {
  return `  ${line}`;
}
