import { errorText } from "#sdk/errors";
import type { ExtensionCatalogue, FindOptions, Found } from "./catalogue.ts";
import type { Kind } from "./definitions.ts";

/** Something a connector looks for among the extensions. */
export interface Lookup<K extends Kind = Kind> extends FindOptions {
  readonly kind: K;
  readonly type: string;
  readonly name: string;
}

interface Use {
  readonly lookup: Lookup;
  readonly end: string;
}

/** Which connector has found what: one whose search would end in another way needs a fresh instance. */
export class ExtensionUses {
  readonly #catalogue: Pick<ExtensionCatalogue, "find">;
  readonly #uses = new Map<string, Map<string, Use>>();

  constructor(catalogue: Pick<ExtensionCatalogue, "find">) {
    this.#catalogue = catalogue;
  }

  /** Looks for something on behalf of a connector, and remembers how it ended. As `ExtensionCatalogue.find`. */
  async find<K extends Kind>(
    connectorId: string,
    lookup: Lookup<K>,
  ): Promise<Found<K> | undefined> {
    const { kind, type, name, isBuiltin = false } = lookup;
    try {
      const found = await this.#catalogue.find(kind, type, name, { isBuiltin });
      this.note(connectorId, lookup, found?.version ?? NOTHING);
      return found;
    } catch (error) {
      this.note(connectorId, lookup, errorText(error));
      throw error;
    }
  }

  /** Remembers a search that was made elsewhere, by what it found: the version, or the text of the error. */
  note(connectorId: string, lookup: Lookup, end: string): void {
    const uses = this.#uses.get(connectorId) ?? new Map<string, Use>();
    this.#uses.set(connectorId, uses);
    uses.set(`${lookup.kind} ${lookup.type} ${lookup.name}`, { lookup, end });
  }

  /** A connector starts afresh, or is gone. */
  forget(connectorId: string): void {
    this.#uses.delete(connectorId);
  }

  /** The ids of the connectors for which something that they looked for has changed. */
  async stale(): Promise<ReadonlySet<string>> {
    const stale = new Set<string>();
    for (const [connectorId, uses] of this.#uses) {
      for (const { lookup, end } of uses.values()) {
        if ((await this.#endOf(lookup)) !== end) {
          stale.add(connectorId);
          break;
        }
      }
    }
    return stale;
  }

  async #endOf({ kind, type, name, isBuiltin = false }: Lookup): Promise<string> {
    try {
      return (await this.#catalogue.find(kind, type, name, { isBuiltin }))?.version ?? NOTHING;
    } catch (error) {
      return errorText(error);
    }
  }
}

/** How a search ends that finds nothing. */
const NOTHING = "";
