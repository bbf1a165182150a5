import { isDeepStrictEqual } from "node:util";
import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import type { Values } from "#sdk/model";

/** The client attribute of the gateway: why connectors do not run, by name. */
export const CONNECTOR_ERRORS = "connector_errors";
/** Changes are told together, at most this often. */
const TELL_EVERY_MS = 1000;
/** An instance that has run so long is well again; one that ends each minute is not. */
const WELL_AFTER_MS = 60_000;
/** Most connectors that are named; of more only the number is told. */
const MAX_NAMES = 50;
/** Longest reason. */
const MAX_CHARS = 300;

/** What is wrong with a connector. */
export interface ConnectorTrouble {
  readonly state: "invalid" | "failed" | "skipped";
  readonly reason: string;
}

/** What the errors of connectors need of their surroundings. */
export interface ConnectorErrorsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** The attributes of the gateway. */
  readonly own: { publish(values: Values): Promise<void> };
  /** What must not be shown. */
  readonly secrets: { hide(text: string): string };
}

interface Entry extends ConnectorTrouble {
  readonly name: string;
  /** An instance runs, for not long enough. */
  recovering: Disposable | undefined;
}

/** Tells the platform which connectors do not run, and why: once at the start, then when that changes. */
export class ConnectorErrors implements Disposable {
  readonly #deps: ConnectorErrorsDeps;
  /** Of those that were started, by id. */
  readonly #failed = new Map<string, Entry>();
  #unusable: readonly (ConnectorTrouble & { readonly name: string })[] = [];
  #told: Values | undefined;
  #timer: Disposable | undefined;
  #isOver = false;

  constructor(deps: ConnectorErrorsDeps) {
    this.#deps = deps;
    this.#tellSoon();
  }

  /** Entries of the configuration that nothing is started for, in place of those before. */
  unusable(
    entries: readonly {
      readonly name: string;
      readonly state: "invalid" | "skipped";
      readonly detail: string | undefined;
    }[],
  ): void {
    this.#unusable = entries.map(({ name, state, detail = "" }) => ({
      name,
      state,
      reason: detail,
    }));
    this.#tellSoon();
  }

  /** A connector has failed, or an instance of it runs. */
  note(
    { id, name }: { readonly id: string; readonly name: string },
    trouble: ConnectorTrouble | undefined,
  ): void {
    const known = this.#failed.get(id);
    known?.recovering?.[Symbol.dispose]();
    if (trouble !== undefined) {
      this.#failed.set(id, { name, ...trouble, recovering: undefined });
      this.#tellSoon();
    } else if (known !== undefined && !this.#isOver) {
      known.recovering = this.#deps.clock.timer(WELL_AFTER_MS, () => this.ended(id));
    }
  }

  /** A connector is no longer there, or well again. */
  ended(id: string): void {
    this.#failed.get(id)?.recovering?.[Symbol.dispose]();
    if (this.#failed.delete(id)) {
      this.#tellSoon();
    }
  }

  /** Tells nothing more: that connectors end with the gateway is no news. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    for (const { recovering } of this.#failed.values()) {
      recovering?.[Symbol.dispose]();
    }
  }

  #tellSoon(): void {
    if (!this.#isOver) {
      this.#timer ??= this.#deps.clock.timer(TELL_EVERY_MS, () => {
        this.#timer = undefined;
        this.#tell();
      });
    }
  }

  #tell(): void {
    const { log, own, secrets } = this.#deps;
    const all = [...this.#unusable, ...this.#failed.values()];
    const shown = all
      .slice(0, MAX_NAMES)
      .map(({ name, state, reason }) => [
        name,
        secrets.hide(`${state}: ${reason}`).slice(0, MAX_CHARS),
      ]);
    const rest = all.length - shown.length;
    const errors: Values = Object.fromEntries([
      ...shown,
      ...(rest > 0 ? [["…", `${rest} more`]] : []),
    ]);
    if (isDeepStrictEqual(errors, this.#told)) {
      return;
    }
    this.#told = errors;
    own
      .publish({ [CONNECTOR_ERRORS]: errors })
      .catch((error: unknown) =>
        log.warn("The platform cannot be told of the connectors that do not run", { error }),
      );
  }
}
