import type {
  ConnectorDefinition,
  DownlinkDefinition,
  UplinkDefinition,
} from "../connector/registry.ts";
import type { RpcSpec } from "../sdk/rpc.ts";
import type { StandardSchema, Tag } from "../sdk/standard-schema.ts";

/** A method of the gateway with any parameters. */
export type RpcDefinition = RpcSpec<StandardSchema> & Tag<"rpc">;

/** What a file can define, by kind. */
export interface DefinitionOf {
  readonly connector: ConnectorDefinition;
  readonly uplink: UplinkDefinition;
  readonly downlink: DownlinkDefinition;
  readonly rpc: RpcDefinition;
}
/** The kinds of definitions. */
export type Kind = keyof DefinitionOf;
/** A definition of any kind. */
export type Definition = DefinitionOf[Kind];

/** The version of the contract this program speaks. */
const API = 1;
const KINDS: readonly string[] = ["connector", "uplink", "downlink", "rpc"] satisfies Kind[];

/** The definitions among the exports of a module, each once, and what is wrong with those that cannot be used. */
export function definitionsOf(module: Readonly<Record<string, unknown>>): {
  readonly definitions: readonly Definition[];
  readonly problems: readonly string[];
} {
  const definitions = new Set<Definition>();
  const problems: string[] = [];
  for (const [name, value] of Object.entries(module)) {
    if (typeof value !== "object" || value === null || !("kind" in value)) {
      continue;
    }
    const problem = problemOf(value);
    if (problem === undefined) {
      // `problemOf` has looked at each member that the core reads of every kind.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
      definitions.add(value as Definition);
    } else {
      problems.push(`its export "${name}" ${problem}`);
    }
  }
  return { definitions: [...definitions], problems };
}

/** Whether a definition is of a kind. */
export function isOfKind<K extends Kind>(
  definition: Definition,
  kind: K,
): definition is DefinitionOf[K] {
  return definition.kind === kind;
}

/** The type of connectors a definition belongs to, in lower case; `rpc` for methods of the gateway. */
export function typeOf(definition: Definition): string {
  return definition.kind === "rpc" ? "rpc" : definition.type.toLowerCase();
}

/** Whether a definition asks to go before what is inside the program under its name. */
export function overrides(definition: Definition): boolean {
  return definition.kind !== "rpc" && definition.overridesBuiltin === true;
}

function problemOf(value: object): string | undefined {
  const member = (name: string): unknown => Reflect.get(value, name);
  const kind = member("kind");
  if (typeof kind !== "string" || !KINDS.includes(kind)) {
    return `is of the unknown kind ${JSON.stringify(kind)}: use ${KINDS.join(", ")}`;
  }
  if (member("api") !== API) {
    return `is made for version ${JSON.stringify(member("api"))} of tbgw/sdk, this program has ${API}`;
  }
  const isNameless = kind === "connector" && member("name") === undefined;
  const missing = [...(isNameless ? [] : ["name"]), ...(kind === "rpc" ? [] : ["type"])].find(
    (key) => typeof member(key) !== "string" || member(key) === "",
  );
  if (missing !== undefined) {
    return `has no ${missing}`;
  }
  const entry = kind === "rpc" ? "run" : "create";
  if (typeof member(entry) !== "function") {
    return `has no function "${entry}"`;
  }
  return schemaProblem(member(kind === "rpc" ? "params" : "schema"), kind);
}

function schemaProblem(schema: unknown, kind: string): string | undefined {
  const key = kind === "rpc" ? "params" : "schema";
  const standard: unknown =
    (typeof schema === "object" || typeof schema === "function") && schema !== null
      ? Reflect.get(schema, "~standard")
      : undefined;
  if (typeof standard !== "object" || standard === null) {
    return `has no "${key}" that follows Standard Schema, as those of valibot do`;
  }
  if (typeof Reflect.get(standard, "validate") !== "function") {
    return `has a "${key}" that cannot validate`;
  }
  // Said by valibot; others are found out when they first validate.
  const isAsynchronous = typeof schema === "object" && schema !== null && "async" in schema;
  return isAsynchronous && schema.async === true
    ? `has a "${key}" that validates asynchronously, which is refused`
    : undefined;
}
