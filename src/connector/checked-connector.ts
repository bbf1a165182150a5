import type { Connector } from "#sdk/connector";

/** What `create` has returned, if it can be run. @throws Error that says what is missing */
export function checkedConnector(created: unknown, name: string): Connector {
  const missing = missingMember(created);
  if (missing !== undefined) {
    throw new Error(`The create of connector "${name}" has returned ${missing}`);
  }
  // Its two members that the core cannot do without are there; the others are looked at when they are used.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return created as Connector;
}

function missingMember(created: unknown): string | undefined {
  if (typeof created !== "object" || created === null) {
    return "no connector";
  }
  if (typeof Reflect.get(created, "run") !== "function") {
    return "an object without run()";
  }
  return typeof Reflect.get(created, Symbol.asyncDispose) === "function"
    ? undefined
    : "an object without [Symbol.asyncDispose]()";
}
