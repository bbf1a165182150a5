import { isDeepStrictEqual } from "node:util";
import { errorText } from "#sdk/errors";
import type { ExtensionCatalogue, FindOptions, Found } from "./catalogue.ts";
import type { DefinitionOf, Kind } from "./definitions.ts";

/** The converters of extensions as one connector looks for them. */
export interface ConverterLookups {
  /**
   * The definition of a name; `isBuiltin`: only one that overrides what is inside the program.
   * @throws ConfigError when there are two, or when a file that may have it cannot be used
   */
  find<K extends "uplink" | "downlink">(
    kind: K,
    name: string,
    isBuiltin: boolean,
  ): Promise<{ readonly definition: DefinitionOf[K] } | undefined>;
  /** Names that extensions define, as far as known. */
  known(kind: "uplink" | "downlink"): readonly string[];
}

/** Something a connector looks for among the extensions. */
export interface Lookup<K extends Kind = Kind> extends FindOptions {
  readonly kind: K;
  readonly type: string;
  readonly name: string;
}

/** A search of a connector. */
export interface Use {
  readonly lookup: Lookup;
  readonly end: End;
}

/** How a search ended: with a version of a file, with nothing, or with an error. */
export type End = { readonly version: string | undefined } | { readonly error: string };

/** Which connector has found what: one whose search would end in another way needs a fresh instance. */
export class ExtensionUses {
  readonly #catalogue: Pick<ExtensionCatalogue, "find" | "known">;
  readonly #uses = new Map<string, Map<string, Use>>();

  constructor(catalogue: Pick<ExtensionCatalogue, "find" | "known">) {
    this.#catalogue = catalogue;
  }

  /** For a fresh instance of a connector: what the one before has looked for does not count any more. */
  of({ id, type }: { readonly id: string; readonly type: string }): ConverterLookups {
    this.forget(id);
    return {
      find: async (kind, name, isBuiltin) => await this.find(id, { kind, type, name, isBuiltin }),
      known: (kind) => this.#catalogue.known(kind, type),
    };
  }

  /** Looks for something on behalf of a connector, and remembers how it ended. As `ExtensionCatalogue.find`. */
  async find<K extends Kind>(
    connectorId: string,
    lookup: Lookup<K>,
  ): Promise<Found<K> | undefined> {
    const { kind, type, name, isBuiltin = false } = lookup;
    try {
      const found = await this.#catalogue.find(kind, type, name, { isBuiltin });
      this.note(connectorId, lookup, { version: found?.version });
      return found;
    } catch (error) {
      this.note(connectorId, lookup, { error: errorText(error) });
      throw error;
    }
  }

  /** Remembers a search that was made elsewhere. */
  note(connectorId: string, lookup: Lookup, end: End): void {
    const uses = this.#uses.get(connectorId) ?? new Map<string, Use>();
    this.#uses.set(connectorId, uses);
    uses.set(`${lookup.kind} ${lookup.type} ${lookup.name}`, { lookup, end });
  }

  /** What a connector has looked for, and how each search ended. */
  usesOf(connectorId: string): readonly Use[] {
    return [...(this.#uses.get(connectorId)?.values() ?? [])];
  }

  /** A connector starts afresh, or is gone. */
  forget(connectorId: string): void {
    this.#uses.delete(connectorId);
  }

  /**
   * The ids of the connectors for which something that they looked for has changed and can be used. While a file is broken, what was
   * made of it before goes on.
   */
  async stale(): Promise<ReadonlySet<string>> {
    const stale = new Set<string>();
    for (const [connectorId, uses] of this.#uses) {
      for (const { lookup, end } of uses.values()) {
        const today = await this.#endOf(lookup);
        if ("version" in today && !isDeepStrictEqual(today, end)) {
          stale.add(connectorId);
          break;
        }
      }
    }
    return stale;
  }

  async #endOf({ kind, type, name, isBuiltin = false }: Lookup): Promise<End> {
    try {
      const found = await this.#catalogue.find(kind, type, name, { isBuiltin });
      return { version: found?.version };
    } catch (error) {
      return { error: errorText(error) };
    }
  }
}
