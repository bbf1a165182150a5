// What the OPC UA server of the demo reads from the folders of its packages, put into its script instead: the program has no such
// folders. Of the standard nodes (5,500) those are left that a small device has (1,100): the server object with all it is made of.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { nodesets } from "node-opcua-nodesets";

/** Root, its folders, the server: what is reached from here downwards stays, with its types. */
const SEEDS = ["i=84", "i=85", "i=86", "i=87", "i=2253"];
const OBJECTS_FOLDER = "i=85";
const SERVER = "i=2253";
/** The types of values that a device may have: the built-in ones of OPC UA Part 6 §5.1.2. */
const BUILT_IN_TYPES = 30;
/** The descriptions of types as documents, outdated since version 1.04 and large. */
const LEFT_OUT = ["i=7617", "i=8252"];
/** What a server may have and this one has not, by the type of its objects. */
const LEFT_OUT_TYPES = [
  "AddressSpaceFileType",
  "AliasNameCategoryType",
  "ApplicationConfigurationFolderType",
  "BaseInterfaceType",
  "DictionaryEntryType",
  "DictionaryFolderType",
  "FileType",
  "LldpInformationType",
  "LogObjectType",
  "ProvisionableDeviceType",
  "PublishSubscribeType",
  "ServerConfigurationType",
  "StateMachineType",
];

const ORGANIZES = "i=35";
const HAS_MODELLING_RULE = "i=37";
const HAS_ENCODING = "i=38";
const HAS_DESCRIPTION = "i=39";
const HAS_TYPE_DEFINITION = "i=40";
const HAS_SUBTYPE = "i=45";
const HAS_PROPERTY = "i=46";
const HAS_COMPONENT = "i=47";
const HAS_ORDERED_COMPONENT = "i=49";
const DOWNWARDS = [ORGANIZES, HAS_PROPERTY, HAS_COMPONENT, HAS_ORDERED_COMPONENT];

interface Reference {
  readonly type: string;
  readonly to: string;
  readonly isForward: boolean;
}

interface Node {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly parent: string | undefined;
  readonly dataTypes: readonly string[];
  readonly references: readonly Reference[];
  readonly text: string;
}

const NODE =
  /<UA(Object|Variable|Method|ObjectType|VariableType|DataType|ReferenceType) .*?<\/UA\1>/gs;
const REFERENCE =
  /<Reference ReferenceType="([^"]+)"( IsForward="false")?>\s*([^<\s]+)\s*<\/Reference>/g;
/** For people who read the file. */
const SAID =
  /<(Documentation|Category|Description|RolePermissions|Extensions)\b[^>]*(?:\/>|>.*?<\/\1>)|<!--.*?-->| (?:ReleaseStatus|SymbolicName|AccessRestrictions)="[^"]*"/gs;

/** A NodeSet2 document, taken apart. */
class Nodeset {
  readonly #xml: string;
  readonly #aliases: ReadonlyMap<string, string>;
  readonly nodes = new Map<string, Node>();
  readonly below = new Map<string, Set<string>>();

  constructor(xml: string) {
    this.#xml = xml;
    this.#aliases = new Map(
      [...xml.matchAll(/<Alias Alias="([^"]+)">([^<]+)</g)].map(([, name = "", id = ""]) => [
        name,
        id,
      ]),
    );
    for (const [text, kind = ""] of xml.matchAll(NODE)) {
      const node = this.#node(text, kind);
      this.nodes.set(node.id, node);
    }
    for (const { id, references } of this.nodes.values()) {
      for (const { type, to, isForward } of references) {
        if (DOWNWARDS.includes(type)) {
          this.#putBelow(isForward ? id : to, isForward ? to : id);
        }
      }
    }
  }

  /** The document with these nodes alone, and no word more than a server needs. */
  only(kept: ReadonlySet<string>): string {
    const texts = [...this.nodes.values()]
      .filter(({ id }) => kept.has(id))
      .map(({ text }) =>
        text.replaceAll(REFERENCE, (all, type: string, _, to: string) =>
          kept.has(this.#id(to)) && kept.has(this.#id(type)) ? all : "",
        ),
      );
    const body = texts.join("\n");
    const aliases = [...this.#aliases]
      .filter(([name]) => body.includes(`"${name}"`))
      .map(([name, id]) => `<Alias Alias="${name}">${id}</Alias>`);
    const head = this.#xml.slice(0, this.#xml.indexOf("<Aliases>"));
    return `${head}<Aliases>${aliases.join("")}</Aliases>\n${body}</UANodeSet>`
      .replaceAll(SAID, "")
      .replaceAll(/>\s+</g, "><");
  }

  #id(text: string): string {
    return this.#aliases.get(text) ?? text;
  }

  #node(text: string, kind: string): Node {
    const [opening] = /^<[^>]*>/.exec(text) ?? [""];
    const attribute = (name: string): string | undefined =>
      new RegExp(` ${name}="([^"]+)"`).exec(opening)?.[1];
    return {
      id: attribute("NodeId") ?? "",
      kind,
      name: attribute("BrowseName") ?? "",
      parent: attribute("ParentNodeId"),
      dataTypes: [...text.matchAll(/ DataType="([^"]+)"/g)].map(([, type = ""]) => this.#id(type)),
      references: [...text.matchAll(REFERENCE)].map(([, type = "", inverse, to = ""]) => ({
        type: this.#id(type),
        to: this.#id(to),
        isForward: inverse === undefined,
      })),
      text,
    };
  }

  #putBelow(parent: string, child: string): void {
    const children = this.below.get(parent) ?? new Set();
    this.below.set(parent, children.add(child));
  }
}

/** The part of the standard nodes that a small device has. @throws Error when the nodes are not where they were */
export function trimNodeset(xml: string): string {
  const nodeset = new Nodeset(xml);
  const all = [...nodeset.nodes.values()];
  const types = all.filter(({ name }) => LEFT_OUT_TYPES.includes(name)).map(({ id }) => id);
  if (types.length !== LEFT_OUT_TYPES.length || !nodeset.nodes.has(SERVER)) {
    throw new Error("The standard nodeset is not as it was: look at scripts/opcua-server.ts");
  }
  const isOfType = ({ type, to }: Reference): boolean =>
    type === HAS_TYPE_DEFINITION && types.includes(to);
  const objects = all.filter(({ references }) => references.some(isOfType)).map(({ id }) => id);
  const leftOut = new Set([...LEFT_OUT, ...types, ...objects]);
  const builtIn = Array.from({ length: BUILT_IN_TYPES }, (_, at) => `i=${at + 1}`);
  const referenceTypes = all.filter(({ kind }) => kind === "ReferenceType").map(({ id }) => id);
  const waiting = [...SEEDS, ...builtIn, ...referenceTypes];
  const kept = new Set<string>();
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    const node = nodeset.nodes.get(id);
    if (node !== undefined && !kept.has(id) && !leftOut.has(id)) {
      kept.add(id);
      waiting.push(...neededBy(node, nodeset));
    }
  }
  return nodeset.only(kept);
}

/** What a node cannot be without: its parent, its types, what it is made of. */
function neededBy(node: Node, { nodes, below }: Nodeset): readonly string[] {
  const needed = node.references.filter(({ type, to, isForward }) => {
    const isUp = type === HAS_SUBTYPE && !isForward;
    const isBinary = type === HAS_ENCODING && nodes.get(to)?.name === "Default Binary";
    const isOther = [HAS_TYPE_DEFINITION, HAS_MODELLING_RULE, HAS_DESCRIPTION].includes(type);
    return isUp || isBinary || isOther;
  });
  const children = node.id === OBJECTS_FOLDER ? [SERVER] : (below.get(node.id) ?? []);
  const parent = node.parent === undefined ? [] : [node.parent];
  return [...parent, ...node.dataTypes, ...needed.map(({ to }) => to), ...children];
}

/** How a file of a package is changed. */
interface Change {
  readonly filter: RegExp;
  readonly change: (text: string, path: string) => string | Promise<string>;
}

const VERSION = 'JSON.parse(fs.readFileSync(path.join(here, "..", "package.json"), "utf8"))';

const CHANGES: readonly Change[] = [
  {
    filter: /\/src\/demo\/opcua\/nodeset\.ts$/,
    change: async () => {
      const xml = trimNodeset(await readFile(nodesets.standard, "utf8"));
      return `export const standardNodeset = async () => ${JSON.stringify(xml)};`;
    },
  },
  {
    // It looks for all nodesets there are when it is loaded.
    filter: /\/node-opcua-nodesets\/dist\/nodeset_nodejs\.js$/,
    change: () => "export const nodesets = {}; export const nodesetImages = {};",
  },
  {
    // What writes nodes into files.
    filter: /\/node-opcua-address-space\/dist\/api\/index\.js$/,
    change: (text) => text.replaceAll(/^.*(nodeset_tools|nodeset_records_to_xml).*$/gm, ""),
  },
  {
    // Another format of nodesets.
    filter: /\/node-opcua-uanodeset-json\/dist\/index\.js$/,
    change: () => "export {};",
  },
  {
    filter: /\/node-opcua-server\/dist\/opcua_server\.js$/,
    change: async (text, path) => {
      if (!text.includes(VERSION)) {
        throw new Error("node-opcua-server is not as it was: look at scripts/opcua-server.ts");
      }
      const manifest = await readFile(join(dirname(path), "../package.json"), "utf8");
      return text.replace(VERSION, JSON.stringify({ version: JSON.parse(manifest).version }));
    },
  },
];

/** Puts the nodes and the version of the server into its script. */
export const opcuaServer: Bun.BunPlugin = {
  name: "opcua-server",
  setup: (builder) => {
    for (const { filter, change } of CHANGES) {
      builder.onLoad({ filter }, async ({ path }) => ({
        contents: await change(await readFile(path, "utf8"), path),
        loader: path.endsWith(".ts") ? "ts" : "js",
      }));
    }
  },
};
