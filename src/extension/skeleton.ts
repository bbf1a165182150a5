import type { Kind } from "./definitions.ts";

/** What an author wants to begin with. */
export interface SkeletonChoice {
  readonly kind: Kind;
  readonly name: string;
  /** Of the connectors it is for, in lower case; `rpc` for methods of the gateway. */
  readonly type: string;
}

/** A file to be written. */
export interface NewFile {
  /** From the folder of extensions. */
  readonly path: string;
  readonly text: string;
  /** What all extensions of a folder have in common: it may be there already. */
  readonly shared: boolean;
}

/** Types whose converters get something of their own; others get a message of a device. */
const OWN_INPUT = ["mqtt", "modbus", "opcua"];
const DECLARATIONS = ["tbgw-sdk.d.ts", "tbgw-testing.d.ts", "valibot.d.ts"];

const TSCONFIG = {
  compilerOptions: {
    target: "ESNext",
    lib: ["ESNext", "DOM"],
    module: "Preserve",
    moduleResolution: "bundler",
    types: [],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noPropertyAccessFromIndexSignature: true,
    noImplicitOverride: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    isolatedModules: true,
    allowImportingTsExtensions: true,
    resolveJsonModule: true,
    noEmit: true,
    paths: {
      "tbgw/sdk": ["./types/tbgw-sdk.d.ts"],
      "tbgw/testing": ["./types/tbgw-testing.d.ts"],
      valibot: ["./types/valibot.d.ts"],
    },
  },
};

/** `TankLevelConverter` → `tank-level-converter`, the name of its file. */
export function stemOf(name: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1-$2")
    .replaceAll(/([A-Z])([A-Z][a-z])/g, "$1-$2")
    .replaceAll("_", "-")
    .toLowerCase();
}

/** The files of a new extension with its test and an example of its configuration, made from what `authorFiles` gives. */
export function skeletonFiles(
  { kind, name, type }: SkeletonChoice,
  files: Readonly<Record<string, string>>,
): readonly NewFile[] {
  const skeleton = skeletonOf(kind, type);
  const stem = stemOf(name);
  const own = ["ts", "test.ts", "json", "hex"].flatMap((ending) => {
    const text = files[`skeletons/${skeleton}.${ending}`];
    return text === undefined
      ? []
      : [
          {
            path: `${type}/${stem}.${ending}`,
            text: text
              .replaceAll("SkeletonName", name)
              .replaceAll("skeletontype", type)
              .replaceAll(`"./${skeleton}.`, `"./${stem}.`),
            shared: false,
          },
        ];
  });
  const declarations = DECLARATIONS.map((file) => ({
    path: `types/${file}`,
    text: files[file] ?? "",
    shared: true,
  }));
  const project = `${JSON.stringify(TSCONFIG, undefined, 2)}\n`;
  return [...own, { path: "tsconfig.json", text: project, shared: true }, ...declarations];
}

function skeletonOf(kind: Kind, type: string): string {
  if (kind !== "uplink") {
    return kind;
  }
  return `uplink-${OWN_INPUT.includes(type) ? type : "message"}`;
}
